"""A folder of templates as an operator fills it."""

from pathlib import Path


def put(folder: Path, name: str, content: str | bytes = "x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def a_png(size: int = 100) -> bytes:
    return b"\x89PNG\r\n\x1a\n".ljust(size, b"\x00")
