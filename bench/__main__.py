"""`python -m bench [NAME…] [--seconds N] [--certificates N] [--keys KIND] [--json FILE]`: print tables."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import (
    against_cfssl,
    against_slapd,
    audit_verify,
    backlog,
    burst,
    compromise_drill,
    crls,
    crowds,
    delivery,
    first_lookup,
    found_lookup,
    large_store,
    ldap_front_end,
    ocsp,
    sustained_minting,
)
from bench.figures import Result
from bench.machine import as_text, machine
from bench.options import Options
from bench.premises import NotInstalled, PremiseBroken

BENCHMARKS: Mapping[str, Callable[[Options], Result]] = {
    "first_lookup": lambda options: first_lookup.run(options.seconds),
    "sustained_minting": lambda options: sustained_minting.run(options.seconds),
    "found_lookup": lambda options: found_lookup.run(options.seconds),
    "ldap_front_end": lambda options: ldap_front_end.run(options.seconds),
    "against_slapd": against_slapd.run,
    "against_cfssl": against_cfssl.run,
    "burst": burst.run,
    "large_store": large_store.run,
    "crowds": crowds.run,
    "audit_verify": audit_verify.run,
    "compromise_drill": compromise_drill.run,
    "ocsp": lambda options: ocsp.run(options.seconds),
    "crls": crls.run,
    "delivery": lambda options: delivery.run(options.seconds),
    "backlog": lambda _options: backlog.run(),
}


def main() -> None:
    """Run the benchmarks asked for, or all; a broken premise ends the run."""
    options = _options()
    # As on an interrupt: what was started is stopped, and its folders are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    described = machine()
    print(as_text(described), flush=True)
    asked = Options(
        seconds=options.seconds, certificates=options.certificates, real_keys=options.keys == "real"
    )
    results: dict[str, Result] = {}
    for name in options.names or BENCHMARKS:
        try:
            results[name] = BENCHMARKS[name](asked)
        except NotInstalled as error:
            print(f"\n{name}: SKIPPED, {error}", file=sys.stderr, flush=True)
            continue
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
        "--certificates", type=int, help="how many the directory holds, where that is the point"
    )
    parser.add_argument(
        "--keys",
        choices=("few", "real"),
        default="few",
        help="what the keys of a burst are made of: few primes, at once, or each its own, as in service",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures, unrounded, to a file"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {min(unknown)}")
    return options


if __name__ == "__main__":
    main()
