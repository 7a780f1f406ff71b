"""Consensus rules: arrays of votes in, arrays of verdicts out. No I/O, and nothing but numpy."""

from __future__ import annotations

from collections.abc import Callable

from .majority import Majority
from .votes import ABSTAINED, NO, YES, Consensus, Parameters, Rule, Votes

__all__ = ["ABSTAINED", "NO", "RULES", "YES", "Consensus", "Majority", "Parameters", "Rule", "Votes", "rule"]

RULES: dict[str, Callable[..., Rule]] = {"majority": Majority}


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
