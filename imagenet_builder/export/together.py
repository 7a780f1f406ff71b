"""Which pictures belong together, because one person made them or one page showed them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from imagenet_builder.store.export import Maker

# What sources write where they know nobody: such pictures are not one author's.
NOBODY = frozenset(
    ["", "anonymous", "author unknown", "n/a", "none", "not known", "own work", "unknown", "unknown author"]
)


def makers(known: Iterable[Maker], cluster_of: Mapping[str, str]) -> dict[str, str]:
    """SHA-256 of an image → a name for all that share an author or a page with it, directly or through others.

    Near-duplicates (one cluster) belong together as well. Authors are compared without regard to case and spaces.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def join(one: str, other: str) -> None:
        # The smaller name stays: the order in which the store answers does not matter.
        first, second = sorted((root(one), root(other)))
        parent[second] = first

    found = []
    for maker in known:
        # Prefixes keep clusters, authors and pages apart.
        cluster = f"cluster {cluster_of[maker.sha256]}"
        found.append((maker.sha256, cluster))
        author = " ".join((maker.author or "").casefold().split())
        if author not in NOBODY:
            join(cluster, f"author {author}")
        if maker.page_url:
            join(cluster, f"page {maker.page_url}")
    return {sha256: root(cluster) for sha256, cluster in found}
