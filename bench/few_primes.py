"""How are many keys made at once? Of few primes, each with each: no key in service may be like these."""

from collections.abc import Iterator
from itertools import islice, product, starmap
from math import isqrt

from cryptography.hazmat.primitives.asymmetric import rsa

_EXPONENT = 65537


def keys_of_few_primes(number: int, bits: int) -> Iterator[rsa.RSAPrivateKey]:
    """Yield so many different keys, in the time of the root of that."""
    made = [rsa.generate_private_key(_EXPONENT, bits).private_numbers() for _ in range(isqrt(number) + 1)]
    pairs = product([numbers.p for numbers in made], [numbers.q for numbers in made])
    return islice(starmap(_key_of, pairs), number)


def _key_of(p: int, q: int) -> rsa.RSAPrivateKey:
    d = rsa.rsa_recover_private_exponent(_EXPONENT, p, q)
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, p * q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)
