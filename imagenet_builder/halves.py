"""Pairs of near values of two large sets, by keys of half their bits.

Each of 64 bits has a number from 0 to 63, a point of the affine space of six dimensions over the field of two
elements. A hyperplane halves the points, and any six of them lie together in one half of one of the 63 halvings: so two
values that differ in at most six bits agree in one of 126 halves (a covering without chance, where Pagh 2016 draws the
points). For fewer bits fewer halvings do. Two values share a key of 32 bits by chance so rarely that the work grows
with the number of values, not with that of their pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from .hamming import BITS, chunks, meetings, reordered

Values = npt.NDArray[np.uint64]
Pairs = tuple[Values, Values]

# The most bits in which two values may differ.
MOST_DISTANCE = 6
# Where so many times more values are known than ask, it is cheaper that these ask by every key that differs in a bit:
# then half as many halves do.
FEW_ASK = 100
HALF = np.uint64(32)
LOW = np.uint64(2**32 - 1)
ONE = np.uint64(1)
ONE_BIT = np.uint64(1) << np.arange(32, dtype=np.uint64)
# So many bits of a table a value that is marked there, between these powers of two: few others seem marked too.
BITS_A_VALUE = 16
LEAST_BITS, MOST_BITS = 16, 27
# Odd numbers by which keys are multiplied, so that the product's upper bits depend on all of the key's.
FACTORS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


class Marks:
    """A set of 32-bit keys, used again for one set after the other; other keys seem to be in it by chance only."""

    def __init__(self, count: int) -> None:
        bits = min(max((count * BITS_A_VALUE).bit_length(), LEAST_BITS), MOST_BITS)
        self._shift = np.uint64(BITS - bits)
        self._factor = FACTORS[0]
        self._numbers = np.zeros(1 << bits, np.bool_)
        self._marked = np.zeros(0, np.uint8)

    def mark(self, keys: Iterable[Values], factor: int = 0) -> None:
        """Be the set of these keys; who seems to be in it by one of FACTORS hardly ever does by the other too."""
        self._factor = FACTORS[factor]
        self._numbers.fill(False)
        for part in keys:
            self._numbers[(part * self._factor >> self._shift).view(np.int64)] = True
        # An eighth of the memory stays in a cache, and most of the time is reading.
        self._marked = np.packbits(self._numbers, bitorder="little")

    def has(self, keys: Values) -> npt.NDArray[np.bool_]:
        """Which of `keys` are, or seem to be, in the set."""
        numbers = keys * self._factor
        numbers >>= self._shift
        octets = self._marked.take((numbers >> np.uint64(3)).view(np.int64), mode="clip")
        octets >>= numbers.astype(np.uint8) & np.uint8(7)
        octets &= np.uint8(1)
        return octets.view(np.bool_)


@dataclass(frozen=True)
class _Swap:
    """Bits under `mask` change places with those `shift` above; done again, it is undone."""

    shift: int
    mask: int

    def apply(self, values: Values) -> None:
        shift, mask = np.uint64(self.shift), np.uint64(self.mask)
        for part in chunks(values):
            moved = part >> shift
            moved ^= part
            moved &= mask
            part ^= moved
            moved <<= shift
            part ^= moved


def _swapped(number: int) -> _Swap:
    """Bits whose numbers differ in digit 5 and in digit `number`, so that these digits change places."""
    return _Swap(32 - (1 << number), _with_digit(number))


def _added(number: int) -> _Swap:
    """Bits whose numbers have the digit `number`, so that it is added to digit 5."""
    return _Swap(32, _with_digit(number))


def _with_digit(number: int) -> int:
    return sum(1 << bit for bit in range(32) if bit >> number & 1)


def _halvings(distance: int) -> Iterator[tuple[list[_Swap], list[_Swap]]]:
    """For each halving the swaps to it from the one before, and those that lead from it back to the values' own bits.

    Digit 5 of a bit's number, the half in which it is, becomes the sum of a few digits of which `top` is the highest.
    """
    least = 6 - max(1, distance)
    back: list[_Swap] = []
    for top in range(5, least - 1, -1):
        there = [_swapped(top)] if top < 5 else []
        steps = back + there
        back = there[::-1]
        yield steps, back
        for count in range(1, 1 << (top - least)):
            # One digit comes or goes at a time (Gray's code); they come and go in any order.
            digit = _added(least + (count & -count).bit_length() - 1)
            back = [step for step in back if step != digit] if digit in back else [digit, *back]
            yield [digit], back


def pairs_between(asking: Values, known: Values, distance: int) -> Iterator[Pairs]:
    """All pairs of one of `asking` and one of `known` that differ in at most `distance` bits (0 to 6), in batches.

    Each pair of values comes once, however often they are there. The arrays are written over: they are the largest
    things in memory, and are not copied.
    """
    if not 0 <= distance <= MOST_DISTANCE:
        raise ValueError(f"distance must be from 0 to {MOST_DISTANCE} bits, not {distance}")
    if len(asking) > len(known):
        # Marks are made of the fewer.
        yield from ((left, right) for right, left in pairs_between(known, asking, distance))
        return
    for values in (asking, known):
        for part in chunks(values):
            part[:] = reordered(part, _order())
    # In how many bits a half may differ: an asker has the keys that differ so from its own, too.
    slack = int(len(asking) * FEW_ASK < len(known) and distance > 1)
    asked = np.sort(asking) if slack else asking
    marks = Marks(len(asking) * (1 + slack * BITS // 2))
    told: list[np.uint64] = []
    for steps, back in _halvings(distance - slack):
        for step in steps:
            step.apply(asking)
            step.apply(known)
        for half in (HALF, np.uint64(0)):
            flips = (ONE_BIT << half) if slack else ONE_BIT[:0]
            questions = np.concatenate([asking, *(asking ^ flip for flip in flips)])
            bits = np.append(flips, LOW << half)
            for step in back:
                step.apply(bits)
            for left, right in _meeting(questions, known, half, distance, marks):
                for step in back:
                    step.apply(left)
                    step.apply(right)
                if slack:
                    left, right = _unflipped(left, right, bits[:-1], asked, distance)
                fresh = _outside(left ^ right, told, slack)
                if fresh.any():
                    yield reordered(left[fresh], _order_back()), reordered(right[fresh], _order_back())
            told.append(bits[-1])


def _unflipped(left: Values, right: Values, flips: Values, asked: Values, distance: int) -> Pairs:
    """The pairs of what `asked`, of which each in `left` is one or would be but for one of `flips`."""
    lefts = np.concatenate([left, *(left ^ flip for flip in flips)])
    rights = np.tile(right, 1 + len(flips))
    there = np.minimum(asked.searchsorted(lefts), len(asked) - 1)
    pairs = (asked[there] == lefts) & (np.bitwise_count(lefts ^ rights) <= distance)
    return lefts[pairs], rights[pairs]


@cache
def _order() -> tuple[int, ...]:
    """Where each bit of a value goes: anywhere. Neighbours depend on each other and should not make one key."""
    return tuple(sorted(range(BITS), key=lambda bit: sha256(bytes([bit])).digest()))


@cache
def _order_back() -> tuple[int, ...]:
    return tuple(sorted(range(BITS), key=_order().__getitem__))


def _outside(differences: Values, told: Iterable[np.uint64], slack: int) -> npt.NDArray[np.bool_]:
    """Which differ in more than `slack` bits in each of the halves in `told`, so that no pair was found there."""
    outside = np.ones(len(differences), np.bool_)
    for half in told:
        there = differences & half
        for _ in range(slack):
            # Without its lowest bit: cheaper than counting all of them.
            there &= there - ONE
        outside &= there != 0
    return outside


def _meeting(asking: Values, known: Values, half: np.uint64, distance: int, marks: Marks) -> Iterator[Pairs]:
    """Pairs of distinct values that agree in one half, the upper or the lower, and differ in few other bits."""
    answers = _having(known, asking, half, marks)
    # By the other factor: those by whose numbers some answers only seemed to have a key would seem to as well.
    questions = _distinct(_having(asking, answers, half, marks, factor=1), half)
    answers = _distinct(_having(answers, questions, half, marks), half)
    if not len(answers):
        return
    keys = _keys(answers, half)
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    keys, wanted = keys[starts], _keys(questions, half)
    run = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    shared = np.flatnonzero(keys[run] == wanted)
    questions, run = questions[shared], run[shared]
    first = starts[run]
    width = np.append(starts, len(answers))[run + 1] - first
    for left, right in meetings(questions, answers, first, width):
        near = np.flatnonzero(np.bitwise_count(left ^ right) <= distance)
        if len(near):
            yield left[near], right[near]


def _having(values: Values, keyed: Values, half: np.uint64, marks: Marks, factor: int = 0) -> Values:
    """Those of `values` that have the key of one of `keyed`, and a few that only seem to."""
    marks.mark((_keys(part, half) for part in chunks(keyed)), factor)
    return np.concatenate([part[marks.has(_keys(part, half))] for part in chunks(values)])


def _distinct(values: Values, half: np.uint64) -> Values:
    """`values`, each once, in the order of their keys."""
    # Halves change places, so that the key comes first; np.unique takes longer than sorting.
    turned: Values = np.sort(values if half else values << HALF | values >> HALF)
    turned = turned[np.append(True, turned[1:] != turned[:-1])[: len(turned)]]
    return turned if half else turned << HALF | turned >> HALF


def _keys(values: Values, half: np.uint64) -> Values:
    return values >> HALF if half else values & LOW
