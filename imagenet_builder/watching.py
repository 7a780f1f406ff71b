"""Files by which others see that `aggregate` runs: figures for Prometheus, and a heartbeat."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hits.errors import LockHeld

from .errors import ProjectError
from .reconcile import utc_now

if TYPE_CHECKING:
    from .aggregate import AggregateReport

logger = logging.getLogger(__name__)

PREFIX = "imagenet_builder_aggregate_"


def watched(
    path: Path | None, run: Callable[[], AggregateReport], *, clock: Callable[[], datetime] = utc_now
) -> AggregateReport:
    """Return what `run` returns; PATH.prom tells of it, PATH.heartbeat when it last ended well (None: no files).

    A run that fails is told as well, if it can be, then its error goes on; one that finds the lock held tells nothing:
    the run that holds it will. Raises ProjectError if the files of a run that ended well cannot be written.
    """
    if path is None:
        return run()
    started = clock()
    try:
        report = run()
    except LockHeld:
        raise
    except Exception:
        try:
            _replace(path.with_name(f"{path.name}.prom"), _text(None, started, clock(), _last_success(path)))
        except ProjectError as error:
            # What stopped the run may be what stops this: the run's own error is the one to be told.
            logger.warning("%s", error)
        raise
    ended = clock()
    _replace(path.with_name(f"{path.name}.prom"), _text(report, started, ended, ended))
    _replace(path.with_name(f"{path.name}.heartbeat"), f"{ended.isoformat()}\n")
    return report


def _last_success(path: Path) -> datetime | None:
    try:
        return datetime.fromisoformat(path.with_name(f"{path.name}.heartbeat").read_text("utf-8").strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProjectError(f"cannot read {path}.heartbeat: {error.strerror}") from error
    except ValueError as error:
        raise ProjectError(f"{path}.heartbeat holds no time: {error}; delete it") from error


def _text(
    report: AggregateReport | None, started: datetime, ended: datetime, last_success: datetime | None
) -> str:
    """One run in Prometheus's text format, version 0.0.4; a failed run (None) has no figures of the store."""
    return "".join(f"{line}\n" for line in _lines(report, started, ended, last_success))


def _lines(
    report: AggregateReport | None, started: datetime, ended: datetime, last_success: datetime | None
) -> Iterator[str]:
    yield from _gauge("last_run_succeeded", "1 if the last run ended well.", int(report is not None))
    yield from _gauge("last_run_timestamp_seconds", "When the last run ended.", ended.timestamp())
    yield from _gauge("duration_seconds", "How long it took.", (ended - started).total_seconds())
    if last_success is not None:
        said = "When a run last ended well."
        yield from _gauge("last_success_timestamp_seconds", said, last_success.timestamp())
    if report is None:
        return
    collected = report.collected
    for name, help_text, value in (
        ("assignments", "Assignments that the last run collected.", collected.assignments),
        ("unreadable", "Of these, those that cannot be read.", collected.unreadable),
        ("unknown_pictures", "Answers to pictures that are not on their page.", collected.unknown_pictures),
        ("missing_pictures", "Pictures of answered pages without an answer.", collected.missing_pictures),
        ("repeated_votes", "Votes that are a worker's second on a question.", collected.repeated),
        ("payments", "Payments that the last run made.", collected.payments),
        ("payments_refused", "Payments that were refused to it.", collected.payments_refused),
        ("payments_given_up", "Payments that no run tries any more.", report.payments_given_up),
        ("lost_hits", "Published HITs that their marketplace does not know.", collected.lost_hits),
        ("faulty_hits", "Published HITs whose assignments could not be had.", collected.faulty_hits),
        ("unlisted", "Assignments that their marketplace has but did not list.", collected.unlisted),
        ("hits_open", "HITs that may still bring votes.", report.hits_open),
        ("verdicts_changed", "Verdicts that the last run changed.", report.verdicts_changed),
        ("verdicts_provisional", "Verdicts that more votes may change.", report.provisional),
        ("workers_excluded", "Workers whom the last run excluded from new work.", report.workers_excluded),
        ("pictures_reported", "Questions that workers reported.", len(report.reported)),
        ("spent_cents", "What all approved assignments cost, in US cents.", report.spent_cents),
    ):
        yield from _gauge(name, help_text, value)
    name = f"{PREFIX}verdicts"
    yield f"# HELP {name} Verdicts that stand, by decision."
    yield f"# TYPE {name} gauge"
    for decision, number in report.decisions.items():
        yield f'{name}{{decision="{decision}"}} {number}'


def _gauge(name: str, help_text: str, value: float) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {help_text}"
    yield f"# TYPE {PREFIX}{name} gauge"
    yield f"{PREFIX}{name} {value}"


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise ProjectError(
            f"cannot write {path}: {error.strerror}; correct `metrics` under [verification]"
        ) from error
