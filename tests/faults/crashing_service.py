"""`pushpki serve` with one difference: at the named step the process kills itself, as a power cut would.

Usage: crashing_service.py STEP --config FILE --json
"""

import json
import os
import signal
import sys
from pathlib import Path

from directory.settings import load_settings
from directory.steps import Step, StepListener
from directory.wiring import process


def killer(at: Step) -> StepListener:
    def listen(step: Step) -> None:
        if step is at:
            os.kill(os.getpid(), signal.SIGKILL)

    return listen


def announce(document: dict[str, str]) -> None:
    sys.stdout.write(json.dumps({"listening": document}) + "\n")
    sys.stdout.flush()


def main() -> None:
    step = Step(sys.argv[1])
    settings = load_settings(Path(sys.argv[sys.argv.index("--config") + 1]))
    process.configure_logging(settings)
    process.run_until_stopped(process.serve_until_signalled(settings, None, announce, on_step=killer(step)))


if __name__ == "__main__":
    main()
