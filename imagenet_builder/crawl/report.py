"""What a crawl did, and how far it is: values that commands print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from imagenet_builder.records import Changed, Failed, Inspected, Outcome, Reason, Rejected, Unchanged


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many candidates ended in one way: `state` is stored, rejected or failed, or in a refresh unchanged, changed,
    rejected or failed; `reason` says why.
    """

    state: str
    reason: str | None
    count: int


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """One run: what was searched, how the fetched candidates ended, and what kept it from doing all.

    `without_candidates` are categories for which nothing at all is known after the run; `dropped_queries` counts the
    queries that were not asked on because what they brought was of no use, `exhausted_queries` those that had brought
    all they have before the run, of categories that want more; `quota_reached` says that candidates were left because
    the disk quota is used up.
    """

    categories: int
    pages: int
    new_candidates: int
    outcomes: tuple[OutcomeCount, ...]
    without_candidates: tuple[str, ...]
    source_errors: tuple[str, ...]
    interrupted: bool
    quota_reached: bool = False
    dropped_queries: int = 0
    exhausted_queries: int = 0

    @property
    def stored(self) -> int:
        """Candidates whose picture was stored in this run."""
        return sum(outcome.count for outcome in self.outcomes if outcome.state == "stored")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage (`search` or `fetch`) is; `done` of `total` categories or candidates."""

    stage: str
    done: int
    total: int
    note: str = ""


ProgressListener = Callable[[Progress], None]


@dataclass(slots=True)
class Tally:
    """Counts of a run while it runs."""

    pages: int = 0
    new_candidates: int = 0
    without_candidates: list[str] = field(default_factory=list)
    source_errors: list[str] = field(default_factory=list)
    quota_reached: bool = False
    dropped_queries: int = 0
    exhausted_queries: int = 0
    ended: Counter[tuple[str, Reason | None]] = field(default_factory=Counter)

    def count(self, outcome: Outcome, *, refresh: bool = False) -> None:
        """Count how a candidate ended, or how it was found in a `refresh`."""
        match outcome:
            case Inspected():
                self.ended["stored", None] += 1
            case Unchanged():
                self.ended["unchanged" if refresh else "stored", None] += 1
            case Changed():
                self.ended["changed", None] += 1
            case Rejected(reason=reason):
                self.ended["rejected", reason] += 1
            case Failed(reason=reason):
                self.ended["failed", reason] += 1

    def outcomes(self) -> tuple[OutcomeCount, ...]:
        """How candidates ended so far; the stored first, then by reason."""
        order = ("stored", "unchanged", "changed", "rejected", "failed")
        ended = sorted(self.ended.items(), key=lambda pair: (order.index(pair[0][0]), pair[0][1] or ""))
        return tuple(OutcomeCount(state, reason, count) for (state, reason), count in ended)

    def report(self, *, categories: int, interrupted: bool) -> CrawlReport:
        """The finished report."""
        return CrawlReport(
            categories=categories,
            pages=self.pages,
            new_candidates=self.new_candidates,
            outcomes=self.outcomes(),
            without_candidates=tuple(self.without_candidates),
            source_errors=tuple(dict.fromkeys(self.source_errors)),
            interrupted=interrupted,
            quota_reached=self.quota_reached,
            dropped_queries=self.dropped_queries,
            exhausted_queries=self.exhausted_queries,
        )
