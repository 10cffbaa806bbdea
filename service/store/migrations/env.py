"""Run the migrations on the connection that `service.store.migrate` opened."""

from alembic import context

from service.store import tables

context.configure(connection=context.config.attributes["connection"], target_metadata=tables.metadata)
context.run_migrations()
