"""The choice of categories: named ones, subtrees, lists; what was left out is told with its reason."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from .errors import UnknownSynset, WordNetError
from .graph import Graph
from .synset import Synset
from .wnid import is_wnid

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

PERSON = "n00007846"
DEFAULT_EXCLUDED = (PERSON,)


class Reason(Enum):
    """Why a synset under a chosen one is not a category."""

    EXCLUDED = "lies under an excluded synset"
    INSTANCE = "is one particular thing, not a kind of thing"
    LIMIT = "lies beyond the limit"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A synset that was not chosen; `under` is the excluded synset above it, when that is the reason."""

    wnid: str
    reason: Reason
    under: str | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """A word with several senses, of which `taken` was taken; `others` follow in WordNet's order."""

    query: str
    taken: Synset
    others: tuple[Synset, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Chosen wnids, each once: the named in their order, then those of subtrees by wnid; `left_out` by wnid."""

    wnids: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    guesses: tuple[Guess, ...] = ()


def choose(
    graph: Graph,
    *,
    named: Iterable[str] = (),
    under: Iterable[str] = (),
    leaves: bool = False,
    excluded: Iterable[str] = DEFAULT_EXCLUDED,
    limit: int | None = None,
) -> Selection:
    """Choose categories: every synset of `named`, and the subtrees `under` with their tops (`leaves`: only leaves).

    All are wnids, names or words, as `Graph.resolve` takes them. Subtrees give no particular things (instances) and
    nothing at or under an `excluded` synset; a synset in `named` is taken whatever it is. With a `limit`, the first
    so many are taken. Raises UnknownSynset.
    """
    guesses: dict[str, Guess] = {}
    chosen = dict.fromkeys(_resolved(graph, named, guesses))
    barred = _barred(graph, excluded)
    left_out: dict[str, LeftOut] = {}
    for wnid in sorted(_subtrees(graph, _resolved(graph, under, guesses), leaves, left_out)):
        if wnid in barred:
            left_out[wnid] = LeftOut(wnid, Reason.EXCLUDED, barred[wnid])
        else:
            chosen[wnid] = None
    taken = tuple(chosen)[:limit]
    left_out |= {wnid: LeftOut(wnid, Reason.LIMIT) for wnid in tuple(chosen)[len(taken) :]}
    untaken = (left_out[wnid] for wnid in sorted(left_out.keys() - set(taken)))
    return Selection(taken, tuple(untaken), tuple(guesses.values()))


def _resolved(graph: Graph, queries: Iterable[str], guesses: dict[str, Guess]) -> Iterator[str]:
    for query in queries:
        synset = graph.resolve(query)
        others = tuple(graph.find(query)[1:])
        if others:
            guesses[query] = Guess(query, synset, others)
        yield synset.wnid


def _barred(graph: Graph, excluded: Iterable[str]) -> dict[str, str]:
    """Every synset at or under an excluded one → that excluded one."""
    barred: dict[str, str] = {}
    for query in excluded:
        top = graph.resolve(query).wnid
        barred |= dict.fromkeys(graph.descendants(top) - barred.keys(), top)
        barred[top] = top
    return barred


def _subtrees(
    graph: Graph, tops: Iterable[str], leaves: bool, left_out: dict[str, LeftOut]
) -> frozenset[str]:
    """The synsets of the subtrees; the instances in them go to `left_out`."""
    members: set[str] = set()
    for top in tops:
        kinds = graph.subclasses(top)
        members |= graph.leaves(top) if leaves else {top, *kinds}
        left_out |= {wnid: LeftOut(wnid, Reason.INSTANCE) for wnid in graph.descendants(top) - kinds}
    return frozenset(members)


def names_in_file(graph: Graph, path: Path) -> tuple[str, ...]:
    """The wnids, names or words of a UTF-8 text file, one a line, each of them known to the graph.

    `#` begins a comment; blank lines are skipped; what follows a wnid is ignored, so that ImageNet's own listings
    can be read. Raises UnknownSynset with the number of the first wrong line, WordNetError when it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WordNetError(f"cannot read the list {path}: {error}") from error
    queries: list[str] = []
    wrong: list[str] = []
    for number, line in enumerate(lines, start=1):
        query = line.partition("#")[0].strip()
        first = query.split(maxsplit=1)[:1]
        if not first:
            continue
        try:
            query = first[0] if is_wnid(first[0]) else query
            graph.resolve(query)
            queries.append(query)
        except UnknownSynset as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        more = f" (and {len(wrong) - 1} more lines)" if len(wrong) > 1 else ""
        raise UnknownSynset(f"{path}, {wrong[0]}{more}")
    return tuple(queries)


def list_names() -> tuple[str, ...]:
    """Names of the lists that come with the package."""
    names = (file.name for file in _lists().iterdir())
    return tuple(sorted(name.removesuffix(".tsv") for name in names if name.endswith(".tsv")))


def list_wnids(name: str) -> tuple[str, ...]:
    """The wnids of a packaged list, in its own order (`ilsvrc2012`: by ILSVRC2012_ID).

    Raises WordNetError when there is no such list.
    """
    return tuple(wnid for _, wnid in _rows_of_list(name))


@cache
def official_ids() -> Mapping[str, int]:
    """Wnid → ILSVRC2012_ID (1…1000) of the 2012 thousand, as in the challenge's own `meta.mat`."""
    return MappingProxyType({wnid: int(number) for number, wnid in _rows_of_list("ilsvrc2012")})


def official_val_sequence() -> tuple[int, ...]:
    """The ILSVRC2012_ID of every picture of the challenge's val, in the order of file names: 50,000, 50 of each.

    As in the challenge's own ground truth, and in TensorFlow Datasets' list by file-name rank (Apache License 2.0),
    from which it was taken.
    """
    packed = _lists().joinpath("ilsvrc2012_val.ids").read_bytes()
    return struct.unpack(f">{len(packed) // 2}H", packed)


def _lists() -> Traversable:
    from importlib.resources import files  # costs 5 ms, and few commands read a list

    return files("wordnet_synsets.lists")


def _rows_of_list(name: str) -> list[tuple[str, str]]:
    if name not in list_names():
        raise WordNetError(f"there is no list {name!r}; the lists are {', '.join(list_names())}")
    text = _lists().joinpath(f"{name}.tsv").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return [(number, wnid) for number, wnid in rows]
