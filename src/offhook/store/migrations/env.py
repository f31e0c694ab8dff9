"""Alembic's entry: runs the migrations on the connection that ``database.migrate`` holds, in its transaction."""

from alembic import context

from offhook.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
