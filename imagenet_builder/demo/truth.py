"""What the demo drew, against what the crowd said: the truth of every question, precision and recall."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from hits import database
from hits.model import Decision
from imagenet_builder.errors import SourceError
from imagenet_builder.store import tables as t

Truth = Mapping[tuple[str, str], bool]


@dataclass(frozen=True, slots=True)
class Score:
    """Verdicts against the truth: counts of questions; a share without a denominator is None."""

    accepted_right: int
    accepted_wrong: int
    rejected_right: int
    rejected_wrong: int
    undecided: int

    @property
    def precision(self) -> float | None:
        """The share of accepted questions that are true."""
        return _share(self.accepted_right, self.accepted_right + self.accepted_wrong)

    @property
    def recall(self) -> float | None:
        """The share of true questions that were accepted, of those that were decided."""
        return _share(self.accepted_right, self.accepted_right + self.rejected_wrong)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def read_truth_file(path: Path) -> dict[str, frozenset[str]]:
    """Read the picture site's truth file: JSON lines of `url` and `wnids`; returns URL → what is drawn there."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return {line["url"]: frozenset(line["wnids"]) for line in map(json.loads, lines)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"cannot read the picture site's truth file {path}: {error}") from error


def truth_of_questions(engine: sa.Engine, drawn: Mapping[str, frozenset[str]]) -> dict[tuple[str, str], bool]:
    """For each stored (SHA-256, wnid) that could be asked: whether the picture shows the category.

    One image may have come from several addresses; they all show the same bytes.
    """
    c = t.candidates.c
    with database.reading(engine) as connection:
        rows = connection.execute(
            sa.select(c.sha256, c.wnid, c.url, c.original_url).where(c.state == "stored")
        ).all()
    shown: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        shown[row.sha256] |= drawn.get(row.original_url or row.url, frozenset())
    return {(row.sha256, row.wnid): row.wnid in shown[row.sha256] for row in rows}


def write_question_truth(path: Path, truth: Truth) -> None:
    """Write the truth as JSON lines of `sha256`, `wnid` and `truth`, as simulated crowds read it."""
    lines = (
        json.dumps({"sha256": sha256, "wnid": wnid, "truth": shows})
        for (sha256, wnid), shows in sorted(truth.items())
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def score_verdicts(engine: sa.Engine, truth: Truth) -> Score:
    """Compare the current verdicts, controls left out, with the truth."""
    q, v = t.questions.c, t.verdicts.c
    with database.reading(engine) as connection:
        rows = connection.execute(
            sa.select(q.sha256, q.wnid, v.decision)
            .join_from(t.questions, t.verdicts, v.question_id == q.id)
            .outerjoin(t.controls, t.controls.c.question_id == q.id)
            .where(t.controls.c.question_id.is_(None))
        )
        return _count(rows, truth)


def _count(rows: Iterable[tuple[str, str, str]], truth: Truth) -> Score:
    counts: dict[tuple[str, bool], int] = defaultdict(int)
    for sha256, wnid, decision in rows:
        counts[decision, truth[sha256, wnid]] += 1
    return Score(
        accepted_right=counts[Decision.ACCEPTED, True],
        accepted_wrong=counts[Decision.ACCEPTED, False],
        rejected_right=counts[Decision.REJECTED, False],
        rejected_wrong=counts[Decision.REJECTED, True],
        undecided=counts[Decision.UNDECIDED, True] + counts[Decision.UNDECIDED, False],
    )
