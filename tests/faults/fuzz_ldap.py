"""Coverage-guided fuzzing of the LDAP session, its decoder and its filters: `make faults`, for a minute.

    python -m tests.faults.fuzz_ldap [SECONDS]

Ends with a status other than 0 when a promise of `harness.withstand` is broken, when one input takes longer
than 5 s or more than 1 GiB; the input is then left as `crash-*`, `timeout-*` or `oom-*` in `.fuzz`.
"""

import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ModuleNotFoundError:
    sys.stderr.write("NOT FUZZED: atheris has no wheel for this machine or this Python\n")
    sys.exit(0)

with atheris.instrument_imports(include=["directory.ldap"]):
    from tests.directory.ldap.harness import withstand
    from tests.directory.ldap.seeds import write_seeds

FOUND = Path(".fuzz")


def main() -> None:
    """Fuzz for so many seconds, 60 without being told."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pushpki-fuzz-") as corpus:
        write_seeds(Path(corpus))
        limits = [f"-max_total_time={seconds}", "-max_len=16384", "-timeout=5", "-rss_limit_mb=1024"]
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={FOUND}/", corpus], withstand)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
