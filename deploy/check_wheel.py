"""Builds the wheel and checks that it holds what the service needs at run time, and nothing else."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
PACKAGES = {"ca", "directory"}


def main() -> None:
    """Build, compare with the tree, and say what is missing or too much."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(  # noqa: S603 - our own build
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            held = {PurePosixPath(name) for name in archive.namelist()}
    templates = {
        PurePosixPath("directory", path.relative_to(ROOT).as_posix())
        for path in (ROOT / "templates").rglob("*")
        if path.is_file()
    }
    sources = {
        PurePosixPath(path.relative_to(ROOT).as_posix())
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    missing = sorted(str(path) for path in (templates | sources) - held)
    foreign = sorted(
        str(path) for path in held if path.parts[0] not in PACKAGES and ".dist-info" not in path.parts[0]
    )
    if missing or foreign or not templates:
        sys.exit(f"the wheel is wrong: missing {missing}, foreign {foreign}, templates {len(templates)}")
    sys.stdout.write(f"the wheel holds {len(sources)} modules and {len(templates)} templates\n")


if __name__ == "__main__":
    main()
