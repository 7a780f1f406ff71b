"""Consensus rules: arrays of votes in, arrays of verdicts out. No I/O, and nothing but numpy."""

from __future__ import annotations

from collections.abc import Callable

from .dawid_skene import DawidSkene
from .dynamic import Dynamic
from .majority import Majority
from .stopping import Stopping, Wants
from .votes import ABSTAINED, NO, UNKNOWN, YES, Consensus, Parameters, Rule, Votes

__all__ = [
    "ABSTAINED",
    "LEARNING",
    "NO",
    "RULES",
    "UNKNOWN",
    "WEIGHING",
    "YES",
    "Consensus",
    "DawidSkene",
    "Dynamic",
    "Majority",
    "Parameters",
    "Rule",
    "Stopping",
    "Votes",
    "Wants",
    "rule",
]

RULES: dict[str, Callable[..., Rule]] = {"majority": Majority, "dawid-skene": DawidSkene, "dynamic": Dynamic}

# These learn from all votes together: what they say of one question depends on the others.
LEARNING = frozenset({"dawid-skene", "dynamic"})
# These weigh each vote by its worker; to the others one vote is as good as another.
WEIGHING = frozenset({"dawid-skene"})


def rule(name: str, **parameters: str | int | float) -> Rule:
    """Return the rule `name` with `parameters` over its defaults; ValueError for one that is unknown."""
    try:
        factory = RULES[name]
    except KeyError:
        raise ValueError(f"there is no rule {name!r}; the rules are {', '.join(sorted(RULES))}") from None
    unknown = parameters.keys() - factory().parameters.keys()
    if unknown:
        raise ValueError(f"the rule {name} has no parameter {', '.join(sorted(unknown))}")
    return factory(**parameters)
