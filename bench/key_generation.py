"""How many keys do all cores of this machine make per second, when they do nothing else?

    python -m bench.key_generation rsa-3072 30

One thread per core and nothing but `cryptography`: the rate no service that makes a key per mint can exceed.
"""

import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from bench.processes import cores
from ca.keys import KeyAlgorithm

BITS = {KeyAlgorithm.RSA_2048: 2048, KeyAlgorithm.RSA_3072: 3072}
_PUBLIC_EXPONENT = 65537


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyGeneration:
    """What the cores made."""

    keys: int
    per_second: float
    spread: float
    """Standard deviation of the time one key takes, by its mean: finding primes is a matter of luck."""
    cores_busy: float


def measure_key_generation(algorithm: KeyAlgorithm, seconds: float) -> KeyGeneration:
    """Make keys in a process of its own for so long."""
    command = [sys.executable, "-m", "bench.key_generation", algorithm.value, str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - our own command
    return KeyGeneration(**json.loads(done.stdout))


def _make_keys(bits: int, seconds: float) -> list[float]:
    """Return how long each key took; the last is the one under way when the time is over."""
    durations = []
    began = now = time.perf_counter()
    while now - began < seconds:
        rsa.generate_private_key(_PUBLIC_EXPONENT, bits)
        before, now = now, time.perf_counter()
        durations.append(now - before)
    return durations


def _main() -> None:
    bits, seconds = BITS[KeyAlgorithm(sys.argv[1])], float(sys.argv[2])
    cpu_before = time.process_time()
    with ThreadPoolExecutor(cores()) as threads:
        made = [threads.submit(_make_keys, bits, seconds) for _ in range(cores())]
        durations = [thread.result() for thread in made]
    every = [duration for thread in durations for duration in thread]
    figures = KeyGeneration(
        keys=len(every),
        per_second=sum(len(thread) / sum(thread) for thread in durations),
        spread=statistics.pstdev(every) / statistics.mean(every),
        # The threads end one after the other; what counts is how long each of them worked.
        cores_busy=(time.process_time() - cpu_before) * cores() / sum(every),
    )
    print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    _main()
