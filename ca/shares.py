"""How is a secret kept by N people so that M of them have it together, and fewer know nothing? Shamir's way.

Shares are those of SLIP-39: 33 words of a list of 1024, with a checksum and the threshold inside. They can be
written down, read aloud and typed, and other programs read them too. This module is the only one that knows
the library. The library takes no care of what a machine gives away while it computes: split and join where
nobody listens, off line.
"""

from collections.abc import Sequence
from typing import NoReturn

import shamir_mnemonic

from ca.errors import SharesRefused

SECRET_OCTETS = 32
"""How long a secret is: 256 bits, the longest that SLIP-39 recommends."""
FEWEST_TOGETHER = 2
"""With a threshold of 1 every share would be the secret."""
MOST_SHARES = 16
"""SLIP-39's limit."""

_LONGEST_TEXT = 1000


class Share:
    """One person's share of a secret; shows itself only when told to `reveal()`."""

    __slots__ = ("__words",)

    def __init__(self, words: str) -> None:
        self.__words = words

    def reveal(self) -> str:
        """Hand out the words: to the file of the person whose share it is."""
        return self.__words

    def __hash__(self) -> NoReturn:
        """Refuse: the hash of a secret would be stored and compared where the secret must not be."""
        raise TypeError("a share is not hashable")

    def __repr__(self) -> str:
        return "Share(hidden)"

    __str__ = __repr__


def split(secret: bytes, *, threshold: int, shares: int) -> tuple[Share, ...]:
    """Split a secret of 32 octets into so many shares, `threshold` of which make it again.

    Raises:
        SharesRefused: the threshold is below 2 or above the number of shares, or there are more than 16.
    """
    if not FEWEST_TOGETHER <= threshold <= shares <= MOST_SHARES:
        raise SharesRefused(
            f"{threshold} of {shares}: at least {FEWEST_TOGETHER} of at most {MOST_SHARES} are needed"
        )
    if len(secret) != SECRET_OCTETS:
        raise ValueError(f"a secret has {SECRET_OCTETS} octets")
    ((*words,),) = shamir_mnemonic.generate_mnemonics(1, [(threshold, shares)], secret)
    return tuple(Share(text) for text in words)


def join(shares: Sequence[Share]) -> bytes:
    """Return the secret that these shares make. More than are needed are welcome, and a share twice.

    Raises:
        SharesRefused: they are too few, of different secrets, or not shares.
    """
    if any(len(share.reveal()) > _LONGEST_TEXT for share in shares):
        raise SharesRefused("what is too long is no share")
    texts = sorted({" ".join(share.reveal().split()).lower() for share in shares})
    if not texts:
        raise SharesRefused("no share was given")
    try:
        groups = shamir_mnemonic.decode_mnemonics(texts)
        needed = max(group.member_threshold() for group in groups.values())
        secret: bytes = shamir_mnemonic.combine_mnemonics(texts[:needed])
    except (shamir_mnemonic.MnemonicError, ValueError, KeyError, IndexError):
        # `from None`: the library quotes the words of shares.
        raise SharesRefused("these are not enough shares of one secret, or a word is misspelt") from None
    if len(secret) != SECRET_OCTETS:
        raise SharesRefused("these are shares of something else")
    return secret
