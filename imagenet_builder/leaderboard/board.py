"""The leaderboard's own store: teams, what they handed in, and what they were told of it.

A hidden split can be fitted through its scores, so they are given out sparingly: only teams that the operator invited
hand in, a few times in any 24 hours, and each learns its ranking error only where it beats that team's best by a whole
step, rounded to steps (the Ladder of Blum and Hardt, 2015, made for teams that adapt to every answer). The exact
scores stay in the store.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hits import database
from hits.database import UtcDateTime
from imagenet_builder.errors import ReleaseError

WINDOW = timedelta(hours=24)
LONGEST_NAME = 60

metadata = sa.MetaData(naming_convention=database.NAMING_CONVENTION)

boards = sa.Table(
    "boards",
    metadata,
    # A store is of one split of one release: scores of others do not belong beside these.
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("split", sa.String(16), primary_key=True),
)

teams = sa.Table(
    "teams",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(LONGEST_NAME), nullable=False, unique=True),
    # The token itself is told once, to the operator.
    sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("invited_at", UtcDateTime, nullable=False),
)

submissions = sa.Table(
    "submissions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("team_id", sa.ForeignKey("teams.id"), nullable=False, index=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("scores", sa.JSON, nullable=False),
    # What the team was told, None where it did not beat its best by a step.
    sa.Column("told", sa.Float),
)


@dataclass(frozen=True, slots=True)
class Rules:
    """`guesses`: the error that ranks; `per_day`: submissions of a team in any 24 hours; `step`: of what is told."""

    guesses: int = 5
    per_day: int = 2
    step: float = 0.01

    def rounded(self, error: float) -> float:
        """An error as it is told: to the nearest step, in [0, 1]."""
        return min(1.0, round(round(error / self.step) * self.step, 6))


def usual_step(pictures: int) -> float:
    """The step of a split of so many pictures: what chance alone moves an error by, 1/√n at most."""
    return round(max(0.001, 1 / sqrt(pictures)), 4)


@dataclass(frozen=True, slots=True)
class Team:
    """A team that was invited."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A line of the leaderboard; `error` is a team's best as it was told, `reached_at` when."""

    rank: int
    team: str
    error: float
    reached_at: datetime
    submissions: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a team is told: its best, whether this submission made it so, and how many are left now.

    `scored` is false for what was handed in before: it is not scored again and costs nothing.
    """

    best: float
    improved: bool
    scored: bool
    left: int


class NotNow(Exception):
    """The team has handed in all it may; `again_at` is when it may go on."""

    def __init__(self, again_at: datetime) -> None:
        super().__init__(f"no more submissions before {again_at:%d %b %Y, %H:%M} UTC")
        self.again_at = again_at


def open_board(path: Path, digest: str, split: str) -> sa.Engine:
    """The store at `path`, made where there is none, of a split of the release with this SHA-256 of its manifest.

    Raises ReleaseError when it is another's or no leaderboard, DatabaseError when it cannot be opened.
    """
    engine = database.open_engine(f"sqlite:///{path.absolute()}")
    with database.writing(engine) as connection:
        there = sa.inspect(connection).get_table_names()
        if there and boards.name not in there:
            raise ReleaseError(f"{path} is the database of something else: give another --board")
        metadata.create_all(connection)
        known = connection.execute(sa.select(boards)).one_or_none()
        if known is None:
            connection.execute(boards.insert().values(digest=digest, split=split))
        elif (known.digest, known.split) != (digest, split):
            raise ReleaseError(
                f"{path} is the leaderboard of another release or split: give another --board, or that release"
            )
    return engine


def invite(engine: sa.Engine, name: str, now: datetime) -> str:
    """Let a team hand in; returns its token. A team that is known gets a new one, and the old one ends.

    Raises ReleaseError for a name that is empty, long or not in one line.
    """
    name = _one_line(name)
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise ReleaseError(f"a team's name has 1 to {LONGEST_NAME} letters, on one line")
    token = secrets.token_urlsafe(24)
    with database.writing(engine) as connection:
        hashed = {"token_sha256": _hash(token)}
        changed = connection.execute(teams.update().where(teams.c.name == name).values(**hashed))
        if not changed.rowcount:
            connection.execute(teams.insert().values(name=name, invited_at=now, **hashed))
    return token


def is_invited(engine: sa.Engine, name: str) -> bool:
    """Whether a team of this name has a token, which another invitation would end."""
    with database.reading(engine) as connection:
        return bool(connection.scalar(sa.select(sa.exists().where(teams.c.name == _one_line(name)))))


def team_of(engine: sa.Engine, token: str) -> Team | None:
    """The team that a token belongs to."""
    with database.reading(engine) as connection:
        row = connection.execute(
            sa.select(teams.c.id, teams.c.name).where(teams.c.token_sha256 == _hash(token))
        ).one_or_none()
    return None if row is None else Team(row.id, row.name)


def hand_in(
    engine: sa.Engine, team: Team, content: bytes, scores: Mapping[str, Any], rules: Rules, now: datetime
) -> Answer:
    """Record what a team handed in, scored as `scores` (`flat` among them), and say what it may know.

    Raises NotNow when it has handed in all it may, whatever arrives at the same moment.
    """
    digest = hashlib.sha256(content).hexdigest()
    own = submissions.c.team_id == team.id
    # The count and the row are one transaction, and writers wait for each other.
    with database.writing(engine) as connection:
        best = connection.scalar(sa.select(sa.func.min(submissions.c.told)).where(own))
        recent = connection.scalars(
            sa.select(submissions.c.received_at)
            .where(own, submissions.c.received_at > now - WINDOW)
            .order_by(submissions.c.received_at)
        ).all()
        before = connection.scalar(sa.select(sa.exists().where(own, submissions.c.sha256 == digest)))
        left = rules.per_day - len(recent)
        if before and best is not None:
            return Answer(best, improved=False, scored=False, left=max(0, left))
        if left <= 0:
            raise NotNow(recent[-rules.per_day] + WINDOW)
        error = float(scores["flat"][rules.guesses - 1])
        improved = best is None or error <= best - rules.step
        told = rules.rounded(error) if improved else None
        connection.execute(
            submissions.insert().values(
                team_id=team.id, sha256=digest, received_at=now, scores=dict(scores), told=told
            )
        )
    shown = best if told is None else told
    assert shown is not None
    return Answer(shown, improved=improved, scored=True, left=left - 1)


def standings(engine: sa.Engine) -> list[Standing]:
    """The leaderboard: least error first; of equal ones who reached it first, and they share a rank."""
    own = submissions.c.team_id == teams.c.id
    with database.reading(engine) as connection:
        rows = connection.execute(
            sa.select(
                teams.c.name,
                sa.func.min(submissions.c.told).label("best"),
                sa.func.count(submissions.c.id).label("number"),
            )
            .join_from(teams, submissions, own)
            .group_by(teams.c.id)
        ).all()
        reached: dict[tuple[str, float], datetime] = {}
        told = connection.execute(
            sa.select(teams.c.name, submissions.c.told, submissions.c.received_at)
            .join_from(teams, submissions, own)
            .where(submissions.c.told.is_not(None))
            .order_by(submissions.c.received_at)
        )
        for name, error, at in told:
            reached.setdefault((name, error), at)
    ordered = sorted(rows, key=lambda row: (row.best, reached[row.name, row.best], row.name))
    errors = [row.best for row in ordered]
    return [
        Standing(1 + errors.index(row.best), row.name, row.best, reached[row.name, row.best], row.number)
        for row in ordered
    ]


def _one_line(name: str) -> str:
    return " ".join(name.split())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
