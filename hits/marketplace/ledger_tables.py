"""The tables of the ledger: accounts, and the transfers between them."""

from __future__ import annotations

import sqlalchemy as sa

from ..database import UtcDateTime, choice
from .columns import RowNumber, metadata

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("cents", sa.BigInteger, nullable=False),
    # Play money comes out of the account "grants"; nobody else can owe.
    sa.CheckConstraint("cents >= 0 OR name = 'grants'", "no_overdraft"),
)

transfers = sa.Table(
    "transfers",
    metadata,
    sa.Column("number", RowNumber, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("kind", choice("kind", "grant", "hold", "reward", "fee", "refund", "bonus"), nullable=False),
    # Each row is both entries of one transaction, so that no transaction can fail to sum to zero.
    sa.Column("source", sa.ForeignKey("accounts.name"), nullable=False, index=True),
    sa.Column("destination", sa.ForeignKey("accounts.name"), nullable=False, index=True),
    sa.Column("cents", sa.BigInteger, nullable=False),
    sa.Column("hit_number", sa.ForeignKey("hits.number"), index=True),
    sa.Column("assignment_number", sa.ForeignKey("assignments.number")),
    sa.CheckConstraint("cents > 0", "positive"),
    sa.CheckConstraint("source <> destination", "two_sides"),
)
