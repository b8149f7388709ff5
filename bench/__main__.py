"""`python -m bench [NAME…] [--seconds N] [--json FILE]`: measure, and print a table for each benchmark."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import first_lookup, found_lookup, ldap_front_end, sustained_minting
from bench.figures import Result
from bench.machine import as_text, machine
from bench.premises import PremiseBroken

BENCHMARKS: Mapping[str, Callable[[float | None], Result]] = {
    "first_lookup": first_lookup.run,
    "sustained_minting": sustained_minting.run,
    "found_lookup": found_lookup.run,
    "ldap_front_end": ldap_front_end.run,
}


def main() -> None:
    """Run the benchmarks asked for, or all; a broken premise ends the run."""
    options = _options()
    # As on an interrupt: what was started is stopped, and its folders are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    described = machine()
    print(as_text(described), flush=True)
    results: dict[str, Result] = {}
    for name in options.names or BENCHMARKS:
        try:
            results[name] = BENCHMARKS[name](options.seconds)
        except (PremiseBroken, TimeoutError) as error:
            sys.exit(f"{name}: this does not hold, so nothing was measured: {error}")
        print(f"\n{results[name].as_text()}", flush=True)
    if options.json is not None:
        documents = {name: result.as_document() for name, result in results.items()}
        text = json.dumps({"machine": described, "benchmarks": documents}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the service.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all if none")
    parser.add_argument("--seconds", type=float, help="how long each thing is measured; less says less")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures, unrounded, to a file"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {min(unknown)}")
    return options


if __name__ == "__main__":
    main()
