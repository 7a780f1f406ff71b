"""What is known of a release's pictures as a whole, for the documents that describe it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from imagenet_builder.records import Rights
from imagenet_builder.store.export import Crowd
from imagenet_builder.store.provenance import Provenance

# What a terminal obeys, and marks that turn the rest of a line around.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_ADDRESS = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
# What its verdicts have is the share of their votes, smoothed: no estimate of how likely they are right.
MAJORITY = "majority"
# As `Provenance` ends.
VOTES = ("yes", "no", "unsure", "broken", "report")


@dataclass
class Facts:
    """Counted from all pictures. `licences` has (name, address of the text); `votes` answers by kind.

    `votes_each` counts pictures by how many votes they had; `retrieved` spans all of them, None before the first;
    `likely` has how many pictures' labels have a probability that estimates how likely they are right, and their sum.
    """

    crowd: Crowd
    licences: Counter[tuple[str, str]] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    votes: Counter[str] = field(default_factory=Counter)
    votes_each: Counter[int] = field(default_factory=Counter)
    retrieved: tuple[datetime, datetime] | None = None
    likely: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    def add(self, known: Sequence[Provenance]) -> None:
        """Count some pictures."""
        for (licence, version, url), number in Counter(
            (one.rights.licence, one.rights.licence_version, one.rights.licence_url) for one in known
        ).items():
            self.licences[licence_name(Rights(licence, version)), _address(url)] += number
        self.rules.update(one.rule for one in known)
        self.sources.update(one.source for one in known)
        votes = np.array([one[-len(VOTES) :] for one in known], np.int64)
        self.votes.update(dict(zip(VOTES, votes.sum(axis=0).tolist(), strict=True)))
        self.votes_each.update(votes.sum(axis=1).tolist())
        probabilities = [
            one.probability for one in known if one.probability is not None and one.rule != MAJORITY
        ]
        self.likely += len(probabilities), sum(probabilities)
        times = [one.retrieved_at for one in known]
        self.retrieved = min([*times, *(self.retrieved or ())]), max([*times, *(self.retrieved or ())])

    def licences_by_number(self) -> list[tuple[str, str, int]]:
        """Name, address and pictures of every licence, the commonest first."""
        found = sorted(self.licences.items(), key=lambda entry: (-entry[1], entry[0]))
        return [(name, url, number) for (name, url), number in found]


def one_line(text: str | None) -> str:
    """What a source says, on one line that is shown as it stands."""
    return _OBEYED.sub("", " ".join((text or "").split()))


def _address(text: str | None) -> str:
    """An address of the web, which may become a link; of a source's other words none."""
    address = one_line(text)
    return address if _ADDRESS.fullmatch(address) else ""


def licence_name(rights: Rights) -> str:
    """A licence as people write it: `CC BY-SA 4.0`, `CC0 1.0`, `public domain`."""
    return _written(rights.licence, rights.licence_version)


@lru_cache(maxsize=1024)
def _written(licence: str | None, licence_version: str | None) -> str:
    code = one_line(licence).lower()
    version = f" {one_line(licence_version)}" if licence_version else ""
    if not code:
        return "licence not stated"
    if code in {"pd", "pdm"}:
        return "public domain"
    if code == "cc0":
        return f"CC0{version}"
    if code == "by" or code.startswith("by-"):
        return f"CC {code.upper()}{version}"
    return f"{code}{version}"
