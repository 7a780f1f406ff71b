"""What the marketplace's tables share: one MetaData, and the types of numbers and identifiers."""

from __future__ import annotations

import sqlalchemy as sa

from ..database import NAMING_CONVENTION

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

# SQLite numbers rows by itself only where the key is INTEGER.
RowNumber = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Identifier = sa.String(64)
Digest = sa.String(64)
