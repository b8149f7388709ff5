"""How does Alembic run here? On the connection it is handed, in the transaction that is open there."""

from alembic import context

from directory.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
