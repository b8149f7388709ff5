"""Which SQLite is used? The one of the wheel, which is recent, or else the one this Python was built with.

The two drivers are one: the wheel has that of CPython, with a newer SQLite linked into it. It matters as
only recent ones may write ahead (`store/sqlite.py`), and such a commit takes one fsync instead of four.
"""

import sqlite3
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Final, TypeAlias

_WHEEL: Final = "pysqlite3"


def _driver() -> ModuleType:
    return import_module(f"{_WHEEL}.dbapi2") if find_spec(_WHEEL) else sqlite3


DRIVER: Final = _driver()
"""The module, as PEP 249 has it."""

DriverConnection: TypeAlias = sqlite3.Connection
"""A connection, whichever of the two it is of."""

DriverError: Final[type[Exception]] = DRIVER.Error
"""What its errors derive from."""

VERSION: Final[tuple[int, ...]] = DRIVER.sqlite_version_info
"""The version of SQLite, not of the driver."""
