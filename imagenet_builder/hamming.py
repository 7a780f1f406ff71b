"""All pairs of 64-bit values that differ in a few bits, exactly, by multi-index hashing.

The 64 bits are cut into `distance + k` pieces: two values that differ in at most `distance` bits agree in at least `k`
pieces (Norouzi, Punjani and Fleet 2012, with `k` pieces together as a key). For each choice of `k` pieces their bits
are moved to the top and the values sorted as numbers, which brings those with one key together. A value is found again
by moving its bits back. A pair is told by one choice only: that of the first `k` pieces in which it agrees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from math import comb

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.uint64]
Pairs = tuple[Values, Values]

BITS = 64
# Values that are compared in one go: they stay in a processor's cache.
CHUNK = 1 << 15
# Nanoseconds to move a value's bits, to sort it (a doubling) and to compare two: only their ratios matter.
MOVE_COST, SORT_COST, COMPARE_COST = 4.0, 2.5, 3.3
MOST_PIECES = 4
MOST_KEY_BITS = 26


@dataclass(frozen=True)
class _Table:
    """One choice of pieces: `moves` are (mask, shift to the left), `low` the bits below the key, of `key_shift` bits.

    `earlier` are the masks, in moved bits, of pieces that a pair must differ in to be told here and not elsewhere.
    """

    moves: tuple[tuple[int, int], ...]
    low: np.uint64
    key_shift: np.uint64
    earlier: tuple[np.uint64, ...]

    def moved(self, values: Values, keys: npt.NDArray[np.bool_] | None = None) -> Values:
        """`values` with the pieces at the top; with `keys` only those that have one of these."""
        if keys is None:
            return np.concatenate([_moved(part, self.moves) for part in chunks(values)])
        kept = []
        for part in chunks(values):
            moved = _moved(part, self.moves)
            kept.append(moved[keys[moved >> self.key_shift]])
        return np.concatenate(kept)

    def keys_of(self, moved: Values) -> npt.NDArray[np.bool_] | None:
        """Of each key, whether one of these values has it; None where there are too many keys."""
        key_bits = BITS - int(self.key_shift)
        if key_bits > MOST_KEY_BITS:
            return None
        keys = np.zeros(1 << key_bits, np.bool_)
        keys[moved >> self.key_shift] = True
        return keys

    def back(self, values: Values) -> Values:
        return _moved(values, tuple((_shifted(mask, shift), -shift) for mask, shift in self.moves))

    def pairs_back(self, pairs: Sequence[Pairs]) -> Pairs:
        """Batches of pairs of moved values as one batch of the values themselves."""
        left, right = zip(*pairs, strict=True)
        return self.back(np.concatenate(left)), self.back(np.concatenate(right))

    def told(self, differences: Values) -> npt.NDArray[np.bool_]:
        """Which of the pairs with these `differences` no earlier table tells."""
        wanted = np.ones(len(differences), np.bool_)
        for mask in self.earlier:
            wanted &= (differences & mask) != 0
        return wanted


def pairs_within(values: Values, distance: int, *, neighbours: int = 0) -> Iterator[Pairs]:
    """All pairs of `values` (distinct, in any order) that differ in at most `distance` bits (0 to 62), in batches.

    Each pair comes once. With `neighbours` only those come that stand side by side when sorted by so many pieces,
    maybe several times: a cheap part of them all.
    """
    step_limit = 1 if neighbours else len(values)
    end = len(values)
    pieces = neighbours or _pieces(len(values), len(values) // 2, distance)
    for table in _tables(distance, pieces):
        moved = table.moved(values)
        moved.sort()
        for start in range(0, end, CHUNK):
            places, left = np.arange(start, min(start + CHUNK, end)), moved[start : start + CHUNK]
            found, count = [], 0
            for step in range(1, step_limit + 1):
                kept = int(np.searchsorted(places, end - step))
                right = moved[places[:kept] + step]
                differences = left[:kept] ^ right
                # Who has no key in common with this one has none with those further on.
                together = np.flatnonzero(differences <= table.low)
                if not len(together):
                    break
                places, left, differences = places[together], left[together], differences[together]
                near = np.flatnonzero(np.bitwise_count(differences) <= distance)
                if len(near) and not neighbours:
                    near = near[table.told(differences[near])]
                found.append((left[near], left[near] ^ differences[near]))
                count += len(near)
                if count >= CHUNK:
                    yield table.pairs_back(found)
                    found, count = [], 0
            if count:
                yield table.pairs_back(found)


def pairs_between(asking: Values, known: Values, distance: int) -> Iterator[Pairs]:
    """All pairs of one of `asking` and one of `known` (distinct each) that differ in at most `distance` bits, once.

    Where few ask, the known values are passed over once a table and those without an asker's key are not sorted.
    """
    if not len(asking) or not len(known):
        return
    for table in _tables(distance, _pieces(len(asking), len(known), distance)):
        questions = table.moved(asking)
        questions.sort()
        answers = table.moved(known, table.keys_of(questions) if len(asking) < len(known) else None)
        answers.sort()
        first = np.searchsorted(answers, questions & ~table.low)
        width = np.searchsorted(answers, questions | table.low, side="right") - first
        some = np.flatnonzero(width)
        questions, first, width = questions[some], first[some], width[some]
        for left, right in meetings(questions, answers, first, width):
            differences = left ^ right
            near = np.flatnonzero(np.bitwise_count(differences) <= distance)
            near = near[table.told(differences[near])] if len(near) else near
            if len(near):
                yield table.back(left[near]), table.back(right[near])


def meetings(
    questions: Values, answers: Values, first: npt.NDArray[np.int64], width: npt.NDArray[np.int64]
) -> Iterator[tuple[Values, Values]]:
    """Each of `questions` with the `width[i]` of `answers` from place `first[i]` on, about CHUNK pairs at a time."""
    ends = width.cumsum()
    begin = 0
    while begin < len(ends):
        before = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + CHUNK, side="right")))
        widths = width[begin:end]
        left = np.repeat(questions[begin:end], widths)
        place = np.arange(len(left)) + np.repeat(first[begin:end] - widths.cumsum() + widths, widths)
        yield left, answers[place]
        begin = end


def spread(values: Values) -> Values:
    """`values` with their bits in another order, the same for all: distances stay.

    A value is 8 rows of 8 bits of which neighbours depend on each other, as in hashes of pictures. Then a piece of it
    has bits from all over, and fewer values agree in one by chance.
    """
    return reordered(values, _spread_order())


def reordered(values: Values, order: tuple[int, ...]) -> Values:
    """`values` with each bit at the place that `order` has for it."""
    octets = np.ascontiguousarray(values, "<u8").view(np.uint8).reshape(-1, 8)
    moved = np.zeros(len(values), np.uint64)
    for place, table in enumerate(_octet_tables(order)):
        moved |= table[octets[:, place]]
    return moved


@cache
def _spread_order() -> tuple[int, ...]:
    # A knight's move from bit to bit: (column + 2 × row) mod 4 is the quarter that a bit goes to.
    order = sorted(range(BITS), key=lambda bit: ((bit % 8 + 2 * (bit // 8)) % 4, bit))
    return tuple(sorted(range(BITS), key=order.__getitem__))


@cache
def _octet_tables(order: tuple[int, ...]) -> tuple[Values, ...]:
    """For each octet of a value, what each of its 256 values becomes."""
    return tuple(
        np.array(
            [
                sum(1 << order[8 * octet + bit] for bit in range(8) if value >> bit & 1)
                for value in range(256)
            ],
            np.uint64,
        )
        for octet in range(8)
    )


def _pieces(asking: int, known: int, distance: int) -> int:
    """How many pieces make a key so that moving, sorting and comparing together cost least."""

    def cost(pieces: int) -> float:
        keys = 2.0 ** (BITS * pieces / (distance + pieces))
        kept = known * min(1.0, asking / keys)
        each = MOVE_COST * known + SORT_COST * kept * np.log2(kept + 2)
        each += asking * (SORT_COST * np.log2(asking + 2) + COMPARE_COST * known / keys)
        return float(comb(distance + pieces, pieces) * each)

    return min(range(1, min(MOST_PIECES, BITS - distance) + 1), key=cost)


def _tables(distance: int, count: int) -> Iterator[_Table]:
    edges = np.linspace(0, BITS, distance + count + 1).round().astype(int).tolist()
    pieces = list(pairwise(edges))
    for chosen in combinations(pieces, count):
        moves: dict[int, int] = {}
        place_of: dict[tuple[int, int], int] = {}
        place = BITS
        for low, high in (*chosen, *(piece for piece in pieces if piece not in chosen)):
            place -= high - low
            place_of[low, high] = place
            moves[place - low] = moves.get(place - low, 0) | _mask(low, high)
        skipped = [piece for piece in pieces if piece < chosen[-1] and piece not in chosen]
        key_bits = sum(high - low for low, high in chosen)
        yield _Table(
            tuple((mask, shift) for shift, mask in moves.items()),
            np.uint64(_mask(0, BITS - key_bits)),
            np.uint64(BITS - key_bits),
            tuple(np.uint64(_shifted(_mask(*piece), place_of[piece] - piece[0])) for piece in skipped),
        )


def _mask(low: int, high: int) -> int:
    return (1 << high) - (1 << low)


def _shifted(mask: int, shift: int) -> int:
    return mask << shift if shift >= 0 else mask >> -shift


def chunks(values: Values) -> Iterator[Values]:
    """The values, CHUNK at a time."""
    return (values[start : start + CHUNK] for start in range(0, max(1, len(values)), CHUNK))


def _moved(values: Values, moves: tuple[tuple[int, int], ...]) -> Values:
    moved = np.zeros_like(values)
    for mask, shift in moves:
        bits = values & np.uint64(mask)
        moved |= bits << np.uint64(shift) if shift >= 0 else bits >> np.uint64(-shift)
    return moved
