"""Is the database of this version's schema, and what brings it there?"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from directory.errors import StoreNewer, StoreOutdated
from directory.store.database import Database

_MIGRATIONS = Path(__file__).parent / "migrations"
_NO_REVISION = "none"


async def migrate(database: Database) -> str:
    """Bring the database to this version's schema, from an older one or from nothing; return its name.

    Several processes may do so at once: one does, the others then find it done.

    Raises:
        StoreNewer: the database was written by a newer version; nothing was changed.
        StoreUnavailable: nothing was changed.
    """
    return await database.restructure(_upgrade)


async def require_current(database: Database) -> None:
    """Return if the database has this version's schema.

    Raises:
        StoreNewer: it was written by a newer version.
        StoreOutdated: it was written by an older one, or is empty.
        StoreUnavailable: it does not answer.
    """
    found = await database.read(_revision)
    scripts = ScriptDirectory(str(_MIGRATIONS))
    wanted = scripts.get_current_head()
    if found == wanted:
        return
    _refuse_newer(found, scripts)
    raise StoreOutdated(found=found or _NO_REVISION, wanted=wanted or _NO_REVISION)


def _upgrade(connection: Connection) -> str:
    scripts = ScriptDirectory(str(_MIGRATIONS))
    _refuse_newer(_revision(connection), scripts)
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")
    return scripts.get_current_head() or _NO_REVISION


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(found: str | None, scripts: ScriptDirectory) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise StoreNewer(found=found)
