"""Alembic's entry: run the migrations over the connection that database.py hands in."""

from alembic import context

from serving.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # SQLite's as well: half a migration never stays
    render_as_batch=True,
)
context.run_migrations()
