"""Which of many pictures may be alike: an asker's hash is near an answer's (`likeness` says what these are).

Few askers or few answers are made an index of, through which the others pass. Of many, whole pictures are compared
among themselves, and with mirror images and windows by keys of half their bits (`halves`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .descriptors import WINDOWS, mirrored_hashes
from .halves import HALF, Marks, pairs_between
from .hamming import chunks, pairs_within, spread
from .likeness import CONFIRMED_AT_ONCE, SIDES, Coded, Hashes, Mask, Pictures, Places, textured
from .near_index import NearIndex

Column = TypeVar("Column", Hashes, Places)

# So many hashes or fewer are made an index of, through which the others pass, fewer if these are more than so many;
# more have keys of half their bits.
INDEXED_AT_MOST, INDEXED_FOR_MANY = 40_000, 12_000
PASSING_AT_MOST = 1_000_000
# If fewer than one in so many of those who answer ask as well, they may be found under every key of theirs.
OWN_AT_MOST = 10
# Pictures that pass in one go, and pairs of hashes that are compared in one go at most.
PASSING_AT_ONCE = 4_096
COMPARED_AT_ONCE = 1 << 24
# Pictures whose hashes are gone through in one go, and pairs of hashes for whose pictures all are gone through once.
GATHERED_AT_ONCE = 16_384
LOCATED_AT_ONCE = 1_000_000


def near_codes(
    pictures: Pictures, asking: Places, answering: Places, distance: int
) -> Iterator[tuple[Places, Places]]:
    """The codes of all askers and answers whose hashes are near, in batches."""
    askers, answers = len(asking) * SIDES, len(answering) * len(WINDOWS)
    indexed = INDEXED_AT_MOST if max(askers, answers) <= PASSING_AT_MOST else INDEXED_FOR_MANY
    if min(askers, answers) <= indexed:
        if askers <= answers:
            yield from _passing(pictures.asking(asking), pictures.answering, answering, distance)
        else:
            for other, one in _passing(pictures.answering(answering), pictures.asking, asking, distance):
                yield one, other
    elif askers and answers:
        yield from _many(pictures, asking, answering, distance)


def _passing(
    few: Coded, coded: Callable[[Places], Coded], places: Places, distance: int
) -> Iterator[tuple[Places, Places]]:
    """The codes of the `few` and, of `places`, what is near to them, as pairs."""
    hashes, codes = few
    if not len(hashes):
        return
    index = NearIndex(hashes, distance, many_ask=True)
    at_once = max(1, COMPARED_AT_ONCE // len(hashes))
    for start in range(0, len(places), PASSING_AT_ONCE):
        passing, passing_codes = coded(places[start : start + PASSING_AT_ONCE])
        for begin in range(0, len(passing), at_once):
            asker, place = index.near(passing[begin : begin + at_once])
            asker += begin
            left, right = hashes[place], passing[asker]
            fit = np.flatnonzero((left == right) | (textured(left) & textured(right)))
            for part in range(0, len(fit), CONFIRMED_AT_ONCE):
                some = fit[part : part + CONFIRMED_AT_ONCE]
                yield codes[place[some]], passing_codes[asker[some]]


@dataclass(frozen=True)
class _Hashed:
    """Distinct hashes, sorted; `codes[starts[i] : starts[i + 1]]` are of what has the hash number i."""

    distinct: Hashes
    starts: Places
    codes: Places

    @classmethod
    def of(cls, hashes: Hashes, codes: Places) -> _Hashed:
        order = np.argsort(hashes)
        hashes, codes = hashes[order], codes[order]
        first = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
        return cls(hashes[first], np.append(first, len(hashes)), codes)


def _many(
    pictures: Pictures, asking: Places, answering: Places, distance: int
) -> Iterator[tuple[Places, Places]]:
    """As `near_codes`, whose answers are not kept beside the hashes: most of them nobody asks for."""
    askers = _Hashed.of(*pictures.asking(asking))
    for left, right in gathered(_near_hashes(pictures, asking, answering, distance), LOCATED_AT_ONCE):
        fit = (left == right) | (textured(left) & textured(right))
        left, right = left[fit], right[fit]
        answers = _located(pictures, answering, right)
        one_at, other_at = askers.distinct.searchsorted(left), answers.distinct.searchsorted(right)
        yield from _meetings(askers, one_at, answers, other_at)


def _near_hashes(
    pictures: Pictures, asking: Places, answering: Places, distance: int
) -> Iterator[tuple[Hashes, Hashes]]:
    """Pairs of hashes, of an asker and of an answer, that are near. What a picture shares with itself is not told."""
    asked, _ = pictures.asking(asking)
    answered = pictures.hashes[pictures.matchable(answering)]
    shown = answering[pictures.shows[answering]]
    own = np.isin(asking, answering, assume_unique=True).sum() * OWN_AT_MOST > len(answering)
    if own:
        # A whole picture has its own hash, and would be found under every key.
        yield from _near_wholes(pictures, asking, answering, distance)
        mirrored = mirrored_hashes(pictures.hashes[asking[pictures.shows[asking]]])
        yield from pairs_between(mirrored, answered, distance)
        answered = answered[:0]
    width = pictures.windows.shape[1]
    # The largest thing in memory is made where it is used.
    answers = np.empty(len(answered) + len(shown) * width, np.uint64)
    answers[: len(answered)] = answered
    inside = answers[len(answered) :].reshape(len(shown), width)
    pictures.windows.take(shown, axis=0, out=inside, mode="clip")
    yield from pairs_between(asked, answers, distance)


def _near_wholes(
    pictures: Pictures, asking: Places, answering: Places, distance: int
) -> Iterator[tuple[Hashes, Hashes]]:
    """The pairs of whole pictures among `_near_hashes`, each in one order only: they are alike in either."""
    asked, answered = (np.sort(pictures.hashes[pictures.matchable(places)]) for places in (asking, answering))
    concerned = np.zeros(len(pictures.hashes), np.bool_)
    concerned[asking] = concerned[answering] = True
    values = np.sort(pictures.hashes[pictures.matchable(np.flatnonzero(concerned))])
    repeated = np.append(False, values[1:] == values[:-1])[: len(values)]
    several = values[repeated]
    several = several[_among(several, asked) & _among(several, answered)]
    yield several, several
    distinct = values[~repeated]
    spreading = spread(distinct)
    order = spreading.argsort()
    ascending = spreading[order]
    for pair in pairs_within(ascending, distance):
        left, right = (distinct[order[ascending.searchsorted(side)]] for side in pair)
        told = _among(left, asked) & _among(right, answered)
        yield left[told], right[told]
        other = ~told & _among(right, asked) & _among(left, answered)
        yield right[other], left[other]


def _among(values: Hashes, ascending: Hashes) -> Mask:
    """Which of `values` are in an array in ascending order."""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    there = np.minimum(ascending.searchsorted(values), len(ascending) - 1)
    found: Mask = ascending[there] == values
    return found


def gathered(pairs: Iterator[tuple[Column, Column]], at_least: int) -> Iterator[tuple[Column, Column]]:
    """The same pairs in batches of `at_least` or more, but for the last."""
    waiting: list[tuple[Column, Column]] = []
    count = 0
    for pair in pairs:
        waiting.append(pair)
        count += len(pair[0])
        if count >= at_least:
            yield _end_to_end(waiting)
            waiting, count = [], 0
    if count:
        yield _end_to_end(waiting)


def _end_to_end(pairs: Sequence[tuple[Column, Column]]) -> tuple[Column, Column]:
    left, right = zip(*pairs, strict=True)
    return np.concatenate(left), np.concatenate(right)


def _located(pictures: Pictures, answering: Places, wanted: Hashes) -> _Hashed:
    """The answers that have one of the `wanted` hashes, and a few others."""
    marks = Marks(len(wanted))
    marks.mark(part >> HALF for part in chunks(wanted))
    seen: list[Coded] = []
    for start in range(0, len(answering), GATHERED_AT_ONCE):
        hashes, codes = pictures.answering(answering[start : start + GATHERED_AT_ONCE])
        maybe = np.flatnonzero(marks.has(hashes >> HALF))
        seen.append((hashes[maybe], codes[maybe]))
    hashes, codes = (np.concatenate(column) for column in zip(*seen, strict=True))
    return _Hashed.of(hashes, codes)


def _meetings(
    asking: _Hashed, one_at: Places, answering: _Hashed, other_at: Places
) -> Iterator[tuple[Places, Places]]:
    """The codes of all that have the hashes `one_at[i]` and `other_at[i]`, about CONFIRMED_AT_ONCE at a time."""
    wide = answering.starts[other_at + 1] - answering.starts[other_at]
    sizes = (asking.starts[one_at + 1] - asking.starts[one_at]) * wide
    ends = sizes.cumsum()
    begin = 0
    while begin < len(ends):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + CONFIRMED_AT_ONCE, "right")))
        some = slice(begin, end)
        line = np.repeat(np.arange(begin, end), sizes[some])
        number = np.arange(len(line)) + np.repeat(before + sizes[some] - ends[some], sizes[some])
        # Each asker of the one hash meets all those that have the other.
        asker, answer = np.divmod(number, wide[line])
        begin = end
        yield (
            asking.codes[asking.starts[one_at[line]] + asker],
            answering.codes[answering.starts[other_at[line]] + answer],
        )
