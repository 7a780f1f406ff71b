"""Figures of a running crawl in files: Prometheus text, for its node exporter, and one JSON object a line."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from imagenet_builder.errors import ProjectError

from .report import OutcomeCount

SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Figures:
    """A crawl at one moment; counts are of this run, `waiting` of candidates, `at` is aware UTC."""

    at: datetime
    seconds: float
    waiting: int
    new_candidates: int
    pages: int
    fetched_bytes: int
    kept_bytes: int
    bytes_in_flight: int
    hosts: int
    hosts_down: int
    outcomes: tuple[OutcomeCount, ...]


# Figure → the metric's name, its type and what it says.
METRICS = {
    "seconds": ("seconds", "gauge", "Seconds since the run began."),
    "waiting": ("candidates_waiting", "gauge", "Candidates that this run has still to fetch."),
    "new_candidates": ("candidates_found_total", "counter", "Candidates that searching brought."),
    "pages": ("search_pages_total", "counter", "Pages of results that sources gave."),
    "fetched_bytes": ("fetched_bytes_total", "counter", "Bytes of pictures fetched."),
    "kept_bytes": ("kept_bytes", "gauge", "Bytes of the originals of all images."),
    "bytes_in_flight": ("in_flight_bytes", "gauge", "Bytes of pictures in memory."),
    "hosts": ("hosts", "gauge", "Hosts met."),
    "hosts_down": ("hosts_down", "gauge", "Hosts whose circuit is open."),
}
PREFIX = "imagenet_builder_crawl_"


def prometheus(figures: Figures) -> str:
    """`figures` in Prometheus's text format, version 0.0.4."""
    return "".join(f"{line}\n" for line in _lines(figures))


def _lines(figures: Figures) -> Iterator[str]:
    for field, (name, kind, help_text) in METRICS.items():
        yield f"# HELP {PREFIX}{name} {help_text}"
        yield f"# TYPE {PREFIX}{name} {kind}"
        yield f"{PREFIX}{name} {getattr(figures, field)}"
    name = f"{PREFIX}candidates_ended_total"
    yield f"# HELP {name} Candidates by how they ended."
    yield f"# TYPE {name} counter"
    for outcome in figures.outcomes:
        # Both are words of our own: nothing in them needs escaping.
        yield f'{name}{{state="{outcome.state}",reason="{outcome.reason or ""}"}} {outcome.count}'


class MetricsFiles:
    """PATH.prom, replaced at each writing, and PATH.jsonl, which grows by a line; `path` is without suffix."""

    def __init__(self, path: Path) -> None:
        self._text = path.with_name(f"{path.name}.prom")
        self._lines = path.with_name(f"{path.name}.jsonl")

    def write(self, figures: Figures) -> None:
        """Write `figures` to both files; raises ProjectError if that fails."""
        line = json.dumps({**dataclasses.asdict(figures), "at": figures.at.isoformat()})
        try:
            self._text.parent.mkdir(parents=True, exist_ok=True)
            beside = self._text.with_name(f".{self._text.name}.{os.getpid()}")
            beside.write_text(prometheus(figures), encoding="utf-8")
            beside.replace(self._text)
            with self._lines.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise ProjectError(
                f"cannot write metrics to {self._text}: {error.strerror}; correct `metrics` under [crawl]"
            ) from error
