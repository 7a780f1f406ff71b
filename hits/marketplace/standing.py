"""What a worker's qualifications are worth now: the system's from her history and profile, requesters' from grants."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from . import qualifying
from .lifecycle import AssignmentState
from .qualifying import Guard, Locale, Requirement, Value, meets
from .tables import assignments, qualification_types, qualifications, worker_blocks, workers

_HISTORY = frozenset({qualifying.PERCENT_APPROVED, qualifying.NUMBER_APPROVED})
_PROFILE = frozenset({qualifying.LOCALE, qualifying.ADULT, qualifying.MASTERS, qualifying.SANDBOX_MASTERS})


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A requirement that a worker does not meet: the qualification's name, and her value if she has one."""

    requirement: Requirement
    name: str
    value: Value | None

    @property
    def wanted(self) -> str:
        """What is wanted, in words."""
        return qualifying.wanted_words(self.requirement)

    @property
    def unwanted(self) -> bool:
        """Whether she has a qualification that the work is not for."""
        return self.requirement.comparator == "DoesNotExist"

    @property
    def requestable(self) -> bool:
        """Whether it is a qualification that one can ask for."""
        system = self.requirement.qualification_type_id in qualifying.SYSTEM_TYPES
        return not system and self.requirement.comparator != "DoesNotExist"


def qualification_values(
    connection: Connection, worker_id: str, wanted: Collection[str]
) -> Mapping[str, Value]:
    """The worker's values of those of the wanted qualification types that she has."""
    values: dict[str, Value] = {}
    if not _HISTORY.isdisjoint(wanted):
        values |= _from_history(connection, worker_id)
    if not _PROFILE.isdisjoint(wanted):
        values |= _from_profile(connection, worker_id)
    own = [type_id for type_id in wanted if type_id not in qualifying.SYSTEM_TYPES]
    if own:
        rows = connection.execute(
            sa.select(qualification_types.c.qualification_type_id, qualifications.c.value)
            .select_from(qualifications.join(qualification_types))
            .where(
                qualifications.c.worker_id == worker_id,
                qualifications.c.status == "Granted",
                qualification_types.c.qualification_type_id.in_(own),
            )
        )
        values |= {row.qualification_type_id: row.value for row in rows}
    return values


def _from_history(connection: Connection, worker_id: str) -> dict[str, Value]:
    rows = connection.execute(
        sa.select(assignments.c.state, sa.func.count().label("number"))
        .where(assignments.c.worker_id == worker_id)
        .group_by(assignments.c.state)
    )
    counts = {row.state: int(row.number) for row in rows}
    waiting, approved, rejected = (
        counts.get(state.value, 0)
        for state in (AssignmentState.SUBMITTED, AssignmentState.APPROVED, AssignmentState.REJECTED)
    )
    submitted = waiting + approved + rejected
    return {
        qualifying.NUMBER_APPROVED: approved,
        qualifying.PERCENT_APPROVED: qualifying.approval_rate(submitted, approved, rejected),
    }


def _from_profile(connection: Connection, worker_id: str) -> dict[str, Value]:
    row = connection.execute(
        sa.select(workers.c.country, workers.c.subdivision, workers.c.adult, workers.c.master_since).where(
            workers.c.worker_id == worker_id
        )
    ).one_or_none()
    values: dict[str, Value] = {}
    if row is not None and row.country is not None:
        values[qualifying.LOCALE] = Locale(row.country, row.subdivision)
    if row is not None and row.adult is not None:
        values[qualifying.ADULT] = int(row.adult)
    if row is not None and row.master_since is not None:
        values |= dict.fromkeys((qualifying.MASTERS, qualifying.SANDBOX_MASTERS), qualifying.IS_MASTER)
    return values


def shortfalls(
    connection: Connection, worker_id: str, requirements: Iterable[Requirement]
) -> tuple[Shortfall, ...]:
    """The requirements that the worker does not meet now."""
    wanted = {requirement.qualification_type_id for requirement in requirements}
    if not wanted:
        return ()
    values = qualification_values(connection, worker_id, wanted)
    return unmet(requirements, values, type_names(connection, wanted))


def unmet(
    requirements: Iterable[Requirement], values: Mapping[str, Value], names: Mapping[str, str]
) -> tuple[Shortfall, ...]:
    """The requirements that these values do not meet."""
    return tuple(
        Shortfall(requirement, names[type_id], values.get(type_id))
        for requirement in requirements
        if not meets(requirement, values.get(type_id := requirement.qualification_type_id))
    )


def type_names(connection: Connection, type_ids: Collection[str]) -> dict[str, str]:
    """The names of qualification types, also of deleted ones."""
    names = {type_id: qualifying.SYSTEM_TYPES.get(type_id, (type_id, ""))[0] for type_id in type_ids}
    rows = connection.execute(
        sa.select(qualification_types.c.qualification_type_id, qualification_types.c.name).where(
            qualification_types.c.qualification_type_id.in_(list(type_ids))
        )
    )
    return names | {row.qualification_type_id: row.name for row in rows}


def keeps_from(missing: Iterable[Shortfall], *guards: Guard) -> bool:
    """Whether one of the unmet requirements has one of these guards."""
    return any(shortfall.requirement.guard in guards for shortfall in missing)


_BLOCK = sa.select(worker_blocks.c.number).where(
    worker_blocks.c.requester_id == sa.bindparam("requester"),
    worker_blocks.c.worker_id == sa.bindparam("worker"),
)


def blocked(connection: Connection, requester_id: str, worker_id: str) -> bool:
    """Whether the requester has blocked the worker."""
    return connection.scalar(_BLOCK, {"requester": requester_id, "worker": worker_id}) is not None
