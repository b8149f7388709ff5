"""Is a public key as strong as it looks? What the size does not tell.

Keys that come from elsewhere were made by somebody's program, and programs have made keys that anybody can
take apart: with primes that lie close together, of a form that gives them away (ROCA), or with a factor that
trial division finds. Our own keys are held to the same rules, for a broken generator has no other witness.
CA/B S/MIME BR 6.1.1.3 and 6.1.6; the tests are those of Let's Encrypt's `goodkey`.

Which kinds of key we make and certify is `ca.keys`' affair; which keys are known to be in wrong hands is the
directory's. A list of the keys of Debian's broken generator of 2008 belongs there as well.
"""

import math
from dataclasses import dataclass
from enum import StrEnum, unique
from functools import cache
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.errors import KeyRefused

UsableKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
"""The kinds of public key that mail can be encrypted with here."""

_SHORTEST_MODULUS = 2048
_LONGEST_MODULUS = 8192  # a longer one is no safer, and takes the time of whoever uses it
_SMALLEST_EXPONENT = 65537
_LARGEST_EXPONENT = 1 << 256
_TRIAL_DIVISION_BELOW = 1 << 16  # CA/B asks for 752
_FERMAT_ROUNDS = 100
_SQUARES_MODULO_64 = frozenset(root * root % 64 for root in range(64))
"""Twelve: of five numbers, four show by their last bits that they are no squares."""
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


@unique
class KeyFlaw(StrEnum):
    """What is wrong with a key: the closed set of `KeyRefused.code` in this room."""

    KIND = "key.kind"
    CURVE = "key.curve"
    SIZE = "key.size"
    EXPONENT = "key.exponent"
    SMALL_FACTOR = "key.small_factor"
    CLOSE_PRIMES = "key.close_primes"
    ROCA = "key.roca"


_REASONS = {
    KeyFlaw.KIND: "mail cannot be encrypted with a key of its kind",
    KeyFlaw.CURVE: "its curve is none of P-256, P-384 and P-521",
    KeyFlaw.SIZE: f"its RSA modulus has not {_SHORTEST_MODULUS} to {_LONGEST_MODULUS} bits, in whole octets",
    KeyFlaw.EXPONENT: "its public exponent is even, below 65537 or beyond 256 bits",
    KeyFlaw.SMALL_FACTOR: "its RSA modulus has a small factor",
    KeyFlaw.CLOSE_PRIMES: "the primes of its RSA modulus are so close together that it falls apart",
    KeyFlaw.ROCA: "its RSA modulus is of the form that gives its primes away (ROCA, CVE-2017-15361)",
}


def check_quality(public_key: object) -> UsableKey:
    """Return the key if nothing is known against its making; takes 0.3 ms for RSA-2048, 2 ms for RSA-8192.

    That a point is on its curve was checked when the key was read.

    Raises:
        KeyRefused: with a code of `KeyFlaw`.
    """
    match public_key:
        case rsa.RSAPublicKey():
            flaw = _flaw_of_rsa(public_key.public_numbers())
        case ec.EllipticCurvePublicKey():
            flaw = None if isinstance(public_key.curve, _CURVES) else KeyFlaw.CURVE
        case _:
            raise _refused(KeyFlaw.KIND)
    if flaw is not None:
        raise _refused(flaw)
    return public_key


def _refused(flaw: KeyFlaw) -> KeyRefused:
    return KeyRefused(_REASONS[flaw], code=flaw.value)


def _flaw_of_rsa(numbers: rsa.RSAPublicNumbers) -> KeyFlaw | None:
    modulus, exponent = numbers.n, numbers.e
    bits = modulus.bit_length()
    # The size first: it bounds what the rest may cost.
    if not _SHORTEST_MODULUS <= bits <= _LONGEST_MODULUS or bits % 8:
        return KeyFlaw.SIZE
    if not _SMALLEST_EXPONENT <= exponent < _LARGEST_EXPONENT or exponent % 2 == 0:
        return KeyFlaw.EXPONENT
    if math.gcd(modulus, _small_primes_together() % modulus) != 1:
        return KeyFlaw.SMALL_FACTOR
    if _has_the_form_of_roca(modulus):
        return KeyFlaw.ROCA
    if _falls_to_fermat(modulus):
        return KeyFlaw.CLOSE_PRIMES
    return None


def _falls_to_fermat(modulus: int) -> bool:
    """Look for modulus = mean² - distance² near its square root; a square itself falls in the first round."""
    mean = math.isqrt(modulus - 1) + 1
    square = mean * mean - modulus
    for _ in range(_FERMAT_ROUNDS):
        if square % 64 in _SQUARES_MODULO_64 and math.isqrt(square) ** 2 == square:
            return True
        square += 2 * mean + 1
        mean += 1
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subgroup:
    """The powers of 65537 modulo a small prime."""

    prime: int
    powers: frozenset[int]


def _has_the_form_of_roca(modulus: int) -> bool:
    """Whether the modulus is a power of 65537 modulo every small prime that could tell.

    Such are all the primes of Infineon's library, so their products are, too (Nemec et al., CCS 2017). Of
    other moduli one in 2^27 is.
    """
    return all(modulus % subgroup.prime in subgroup.powers for subgroup in _roca_subgroups())


@cache
def _roca_subgroups() -> tuple[_Subgroup, ...]:
    # The library multiplied as many primes as its key size allowed, and these for every size.
    subgroups = (_subgroup(prime) for prime in _primes_below(168) if prime > 2)  # noqa: PLR2004 - two tells nothing
    return tuple(one for one in subgroups if len(one.powers) < one.prime - 1)


def _subgroup(prime: int) -> _Subgroup:
    return _Subgroup(prime=prime, powers=frozenset(pow(65537, power, prime) for power in range(prime - 1)))


@cache
def _small_primes_together() -> int:
    return math.prod(_primes_below(_TRIAL_DIVISION_BELOW))


def _primes_below(limit: int) -> list[int]:
    """The sieve of Eratosthenes."""
    is_prime = bytearray([1]) * limit
    is_prime[:2] = b"\0\0"
    for number in range(2, math.isqrt(limit) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return [number for number in range(limit) if is_prime[number]]
