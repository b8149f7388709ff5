"""Many different RSA keys in the time of a few: each pair of some primes is a key."""

from functools import cache
from itertools import combinations, islice

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.keys import PrivateKey

_EXPONENT = 65537
_MADE = 8
"""Keys that are really generated; from their sixteen primes come 120."""


@cache
def _primes() -> tuple[int, ...]:
    numbers = (rsa.generate_private_key(_EXPONENT, 2048).private_numbers() for _ in range(_MADE))
    return tuple(prime for number in numbers for prime in (number.p, number.q))


def distinct_keys(count: int) -> list[PrivateKey]:
    """Return RSA-2048 keys; whoever has two of them can take both apart, which no test does."""
    keys: list[PrivateKey] = [_key(p, q) for p, q in islice(combinations(_primes(), 2), count)]
    assert len(keys) == count
    return keys


def _key(p: int, q: int) -> rsa.RSAPrivateKey:
    d = rsa.rsa_recover_private_exponent(_EXPONENT, p, q)
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, p * q),
    ).private_key(unsafe_skip_rsa_key_validation=True)
