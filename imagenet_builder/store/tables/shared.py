"""What all tables share."""

from __future__ import annotations

import sqlalchemy as sa

from hits.database import NAMING_CONVENTION

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

WNID = sa.String(9)
SHA256 = sa.String(64)
# SQLite gives row ids only to INTEGER primary keys; PostgreSQL should count past 2³¹.
ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
