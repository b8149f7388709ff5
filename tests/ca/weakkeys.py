"""Keys that look strong and are not, each made as the faulty programs made theirs."""

import math
from collections.abc import Callable, Iterator
from functools import cache
from random import Random

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_EXPONENT = 65537


def _seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - the same weak keys in every run


def _is_prime(number: int) -> bool:
    # Fermat's test: nobody chose these numbers to deceive it.
    return all(pow(base, number - 1, number) == 1 for base in (2, 3))


def _primes_from(start: int, step: int = 2) -> Iterator[int]:
    return (number for number in _count(start, step) if number % 15015 and _is_prime(number))


def _count(start: int, step: int) -> Iterator[int]:
    while True:
        yield start
        start += step


def _prime(random: Random, bits: int) -> int:
    return next(_primes_from(random.getrandbits(bits) | 3 << (bits - 2) | 1))


def rsa_key(modulus: int, exponent: int = _EXPONENT) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


@cache
def close_primes() -> rsa.RSAPublicKey:
    """The second prime is the next one above the first, as in a printer's firmware (CVE-2022-26320)."""
    first = _prime(_seeded(1), 1024)
    return rsa_key(first * next(_primes_from(first + 2)))


@cache
def rather_close_primes() -> rsa.RSAPublicKey:
    """The upper half of both primes is the same but for a few bits."""
    first = _prime(_seeded(2), 1024)
    return rsa_key(first * next(_primes_from(first + (1 << 515) + 2)))


@cache
def square() -> rsa.RSAPublicKey:
    return rsa_key(_prime(_seeded(3), 1024) ** 2)


@cache
def roca() -> rsa.RSAPublicKey:
    """Both primes are k * M + 65537^a mod M, with M as Infineon's library chose it for 2048 bits."""
    together = math.prod(number for number in range(2, 702) if all(number % low for low in range(2, number)))
    random = _seeded(4)

    def prime() -> int:
        while True:
            factor = random.getrandbits(1024 - together.bit_length()) | 3 << (1022 - together.bit_length())
            candidate = factor * together + pow(_EXPONENT, random.getrandbits(60), together)
            if candidate.bit_length() == 1024 and _is_prime(candidate):
                return candidate

    return rsa_key(prime() * prime())


def with_factor(factor: int) -> rsa.RSAPublicKey:
    start = 3 << 2046
    multiple = start + factor - start % factor
    return rsa_key(multiple if multiple % 2 else multiple + factor)


def of_bits(bits: int) -> rsa.RSAPublicKey:
    return rsa_key((3 << (bits - 2)) + 1)


WEAK: dict[str, tuple[Callable[[], object], str]] = {
    "512 bits": (lambda: of_bits(512), "key.size"),
    "1024 bits": (lambda: of_bits(1024), "key.size"),
    "2047 bits": (lambda: of_bits(2047), "key.size"),
    "2049 bits": (lambda: of_bits(2049), "key.size"),
    "16384 bits": (lambda: of_bits(16384), "key.size"),
    "exponent 3": (lambda: rsa_key(of_bits(2048).public_numbers().n, 3), "key.exponent"),
    "exponent 17": (lambda: rsa_key(of_bits(2048).public_numbers().n, 17), "key.exponent"),
    "factor 3": (lambda: with_factor(3), "key.small_factor"),
    "factor 751": (lambda: with_factor(751), "key.small_factor"),
    "factor 65521": (lambda: with_factor(65521), "key.small_factor"),
    "neighbouring primes": (close_primes, "key.close_primes"),
    "primes that share their upper half": (rather_close_primes, "key.close_primes"),
    "a square": (square, "key.close_primes"),
    "ROCA": (roca, "key.roca"),
    "P-224": (lambda: ec.generate_private_key(ec.SECP224R1()).public_key(), "key.curve"),
    "secp256k1": (lambda: ec.generate_private_key(ec.SECP256K1()).public_key(), "key.curve"),
    "brainpool": (lambda: ec.generate_private_key(ec.BrainpoolP256R1()).public_key(), "key.curve"),
    "Ed25519": (lambda: ed25519.Ed25519PrivateKey.generate().public_key(), "key.kind"),
}
"""Every weakness by its name: how to make the key, and the code of the refusal."""
