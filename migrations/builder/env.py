"""Alembic's entry for the builder's store; the engine comes from `hits.database`."""

from hits.migrating import run_migrations
from imagenet_builder.store.tables import metadata

run_migrations(metadata)
