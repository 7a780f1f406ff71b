"""`reconcile`: the store and the marketplace brought into line after a crash, by the annotation of each HIT."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hits import database
from hits.errors import MarketplaceFaulty, RequestRefused
from hits.model import HitStatus

from . import marketplace_keys
from .store import publish as store
from .store.publish import StoredHit

if TYPE_CHECKING:
    import sqlalchemy as sa

    from hits.model import PublishedHit
    from hits.requester import Requester

    from .project import Project

logger = logging.getLogger(__name__)

ANNOTATION_PREFIX = "imagenet-builder:"
PUBLISH_LOCK = "publish"
LISTINGS = 3


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """What was found. Intended HITs that are `missing` were never created: publish-hits creates them.

    `unknown` HITs are published as far as the store knows, but their marketplace does not list them. `foreign` ones
    are there, but not in the store: another project's, or made after the backup that the store was restored from.
    """

    found: int = 0
    missing: int = 0
    published: int = 0
    unknown: int = 0
    abandoned: int = 0
    foreign: int = 0


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def annotation(token: str) -> str:
    """What a HIT says of itself to its requester: it finds the HIT again when the token has lapsed."""
    return f"{ANNOTATION_PREFIX}{token}"


def reconcile(
    project: Project, *, abandon: bool = False, clock: Callable[[], datetime] = utc_now
) -> ReconcileReport:
    """Ask every marketplace of this project for its HITs, and write down what it says.

    These are the marketplaces with open HITs, and those of the settings for which there are keys: a store from a
    backup may have forgotten all that it published there. Intended HITs that exist get their platform's id. With
    `abandon`, published HITs that the marketplace no longer knows are given up, so that their questions can be asked
    again. Raises LockHeld while something is published, MarketplaceUnavailable, and ProjectError without keys.
    """
    engine = project.engine
    report = ReconcileReport()
    with database.exclusive_lock(engine, PUBLISH_LOCK):
        with database.reading(engine) as connection:
            intended = store.hits_in_state(connection, "intended")
            published = store.hits_in_state(connection, "published")
        at_work = {hit.endpoint for hit in (*intended, *published)}
        for endpoint in sorted(at_work | marketplace_keys.endpoints_with_keys(project)):
            requester = marketplace_keys.requester(project, endpoint)
            report = _add(
                report,
                _reconcile_endpoint(
                    engine,
                    requester,
                    [hit for hit in intended if hit.endpoint == endpoint],
                    [hit for hit in published if hit.endpoint == endpoint],
                    clock() if abandon else None,
                ),
            )
    return report


def _reconcile_endpoint(
    engine: sa.Engine,
    requester: Requester,
    intended: Sequence[StoredHit],
    published: Sequence[StoredHit],
    abandon_at: datetime | None,
) -> ReconcileReport:
    listed, absent = list_whole(requester, intended, published)
    found = record_found(engine, intended, listed)
    with database.reading(engine) as connection:
        ours = store.platform_hit_ids(connection, requester.endpoint_url)
    unknown = [hit.id for hit in absent]
    if unknown and abandon_at is not None:
        with database.writing(engine) as connection:
            store.record_abandoned(connection, unknown, abandon_at)
    return ReconcileReport(
        found=len(found),
        missing=len(intended) - len(found),
        published=len(published),
        unknown=len(unknown),
        abandoned=len(unknown) if abandon_at is not None else 0,
        foreign=sum(hit.hit_id not in ours for hit in listed),
    )


def list_whole(
    requester: Requester, intended: Sequence[StoredHit], published: Sequence[StoredHit]
) -> tuple[list[PublishedHit], list[StoredHit]]:
    """Return the pipeline's HITs that a marketplace lists, and those of `published` that it does not know.

    A list that leaves out what the marketplace has says nothing of what is not on it: it is asked for again. So is,
    once, one that has not all of `intended`. Raises MarketplaceFaulty if it is never whole.
    """
    listed: dict[str, PublishedHit] = {}
    for number in range(LISTINGS):
        listed.update((hit.hit_id, hit) for hit in requester.find_by_annotation(ANNOTATION_PREFIX))
        absent = [hit for hit in published if hit.platform_hit_id not in listed]
        left_out = [hit for hit in absent if _is_there(requester, hit)]
        if left_out:
            logger.warning("the list of HITs leaves out %d that the marketplace has", len(left_out))
            continue
        annotations = {hit.annotation for hit in listed.values()}
        if number or all(annotation(hit.token) in annotations for hit in intended):
            return list(listed.values()), absent
    raise MarketplaceFaulty(
        f"the marketplace at {requester.endpoint_url} lists only some of its HITs, {LISTINGS} times over; "
        "try again later: nothing was created or given up"
    )


def _is_there(requester: Requester, hit: StoredHit) -> bool:
    """Whether the marketplace knows a HIT that it did not list."""
    try:
        return requester.hit(hit.platform_hit_id or "").status is not HitStatus.DISPOSED
    except RequestRefused as refusal:
        if refusal.code != "HITDoesNotExist":
            raise
        return False


def record_found(
    engine: sa.Engine, intended: Sequence[StoredHit], listed: Sequence[PublishedHit]
) -> set[int]:
    """Write down the platform's ids of intended HITs that are among `listed`; returns the ids of their rows."""
    by_annotation = {hit.annotation: hit for hit in listed}
    found: set[int] = set()
    with database.writing(engine) as connection:
        for hit in intended:
            there = by_annotation.get(annotation(hit.token))
            if there is not None:
                store.record_published(connection, hit.id, there.hit_id, there.created_at)
                found.add(hit.id)
                logger.info("found HIT %s again by its annotation", there.hit_id)
    return found


def _add(one: ReconcileReport, other: ReconcileReport) -> ReconcileReport:
    return ReconcileReport(
        one.found + other.found,
        one.missing + other.missing,
        one.published + other.published,
        one.unknown + other.unknown,
        one.abandoned + other.abandoned,
        one.foreign + other.foreign,
    )
