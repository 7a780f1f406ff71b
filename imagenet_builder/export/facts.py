"""What is known of a release's pictures as a whole, for the documents that describe it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from imagenet_builder.records import Rights
from imagenet_builder.store.export import Crowd, Provenance


@dataclass
class Facts:
    """Counted picture by picture. `licences` has (name, address of the text); `votes` answers by kind.

    `votes_each` counts pictures by how many votes they had; `retrieved` spans all of them, None before the first.
    """

    crowd: Crowd
    licences: Counter[tuple[str, str]] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    votes: Counter[str] = field(default_factory=Counter)
    votes_each: Counter[int] = field(default_factory=Counter)
    retrieved: tuple[datetime, datetime] | None = None

    def add(self, provenance: Provenance) -> None:
        """Count one picture."""
        self.licences[licence_name(provenance.rights), provenance.rights.licence_url or ""] += 1
        self.rules[provenance.rule] += 1
        self.sources[provenance.source] += 1
        votes = {
            "yes": provenance.yes,
            "no": provenance.no,
            "unsure": provenance.unsure,
            "broken": provenance.broken,
            "report": provenance.report,
        }
        self.votes.update(votes)
        self.votes_each[sum(votes.values())] += 1
        first, last = self.retrieved or (provenance.retrieved_at, provenance.retrieved_at)
        self.retrieved = min(first, provenance.retrieved_at), max(last, provenance.retrieved_at)

    def licences_by_number(self) -> list[tuple[str, str, int]]:
        """Name, address and pictures of every licence, the commonest first."""
        found = sorted(self.licences.items(), key=lambda entry: (-entry[1], entry[0]))
        return [(name, url, number) for (name, url), number in found]


def licence_name(rights: Rights) -> str:
    """A licence as people write it: `CC BY-SA 4.0`, `CC0 1.0`, `public domain`."""
    code = (rights.licence or "").lower()
    version = f" {rights.licence_version}" if rights.licence_version else ""
    if not code:
        return "licence not stated"
    if code in {"pd", "pdm"}:
        return "public domain"
    if code == "cc0":
        return f"CC0{version}"
    if code == "by" or code.startswith("by-"):
        return f"CC {code.upper()}{version}"
    return f"{' '.join(code.split())}{version}"
