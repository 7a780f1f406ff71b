"""A store filled by hand, row by row, for tests that know every number in it."""

from __future__ import annotations

import hashlib
from itertools import count
from typing import Any

import sqlalchemy as sa

from hits import database
from hits.model import AssignmentStatus
from imagenet_builder.project import Project
from imagenet_builder.store import tables as t

from .builder_store import NOW

ENDPOINT = "http://127.0.0.1:8700"


class SmallStore:
    """Inserts rows with what does not matter filled in; methods return the key of their row."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._numbers = count(1)
        self._queries: dict[str, int] = {}

    def _insert(self, table: sa.Table, **row: Any) -> Any:
        with database.writing(self.project.engine) as connection:
            return connection.execute(table.insert().values(**row)).inserted_primary_key

    def image(self, content: bytes = b"", *, byte_count: int | None = None) -> str:
        """An image; its bytes are in the image store if there are any."""
        unknown = f"image {next(self._numbers)}".encode()
        sha256 = self.project.images.put(content) if content else hashlib.sha256(unknown).hexdigest()
        size = len(content) if byte_count is None else byte_count
        shape = {"format": "JPEG", "mode": "RGB", "width": 64, "height": 48, "orientation": 1}
        self._insert(t.images, sha256=sha256, byte_count=size, perceptual_hash=0, stored_at=NOW, **shape)
        return sha256

    def candidate(
        self,
        wnid: str,
        sha256: str | None = None,
        *,
        state: str = "stored",
        reason: str | None = None,
        **row: Any,
    ) -> str:
        """A candidate from an address of its own; returns the address."""
        if wnid not in self._queries:
            key = self._insert(
                t.queries,
                wnid=wnid, source="folder", words="x", language="en", exhausted=True, found=0, known=0,
            )  # fmt: skip
            self._queries[wnid] = key[0]
        url = str(row.pop("url", f"https://pictures.example/{next(self._numbers)}.jpg"))
        ended = None if state == "pending" else NOW
        self._insert(
            t.candidates,
            wnid=wnid, url=url, query_id=self._queries[wnid], source="folder", rank=1, found_at=NOW, state=state,
            reason=reason, retryable=False, attempts=1, ended_at=ended, sha256=sha256, **row,
        )  # fmt: skip
        return url

    def question(self, sha256: str, wnid: str) -> int:
        key: int = self._insert(t.questions, sha256=sha256, wnid=wnid, asked_at=NOW)[0]
        return key

    def control(self, question_id: int, answer: str) -> None:
        self._insert(
            t.controls, question_id=question_id, answer=answer, provenance="requester", labelled_at=NOW
        )

    def hit(self, wnid: str, *, state: str, reward: int, fee: int, votes: int) -> int:
        number = next(self._numbers)
        known = {} if state in {"intended", "abandoned"} else {"platform_hit_id": f"HIT{number}"}
        key: int = self._insert(
            t.hits,
            wnid=wnid, token=f"token {number}", endpoint=ENDPOINT, live=False, state=state, votes_wanted=votes,
            rule="majority", reward_cents=reward, fee_cents=fee, intended_at=NOW, **known,
        )[0]  # fmt: skip
        return key

    def worker(self) -> int:
        number = next(self._numbers)
        key: int = self._insert(
            t.workers, endpoint=ENDPOINT, platform_worker_id=f"W{number}", first_seen_at=NOW
        )[0]
        return key

    def assignment(
        self,
        hit_id: int,
        worker_id: int,
        *,
        status: AssignmentStatus = AssignmentStatus.APPROVED,
        right: int = 0,
        shown: int = 0,
        seconds: float | None = None,
    ) -> int:
        key: int = self._insert(
            t.assignments,
            hit_id=hit_id, worker_id=worker_id, platform_assignment_id=f"A{next(self._numbers)}", status=status,
            accepted_at=NOW, submitted_at=NOW, collected_at=NOW, page_seconds=seconds,
            controls_right=right, controls_shown=shown, answer_xml="",
        )[0]  # fmt: skip
        return key

    def vote(
        self, question_id: int, assignment_id: int, worker_id: int, answer: str, *, counts: bool = True
    ) -> None:
        reason = "private" if answer == "report" else None
        self._insert(
            t.votes,
            question_id=question_id, assignment_id=assignment_id, worker_id=worker_id, answer=answer,
            report_reason=reason, counts=counts, cast_at=NOW,
        )  # fmt: skip

    def verdict(
        self, question_id: int, decision: str, *, yes: int = 0, no: int = 0, superseded: bool = False
    ) -> None:
        self._insert(
            t.superseded_verdicts if superseded else t.verdicts,
            question_id=question_id, decision=decision, ruling_id=1, yes=yes, no=no, unsure=0, broken=0, report=0,
            final=True, **({"superseded_by": 2} if superseded else {}),
        )  # fmt: skip
