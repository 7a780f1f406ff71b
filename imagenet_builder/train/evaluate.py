"""Scores guesses against the truth as the ILSVRC devkit's `eval_flat` does: pure functions over arrays.

A submission file has a line a picture, in file-name order, with up to five class ids, best first (ILSVRC-2012
devkit, readme.txt, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from imagenet_builder.errors import TrainingError

IntArray = np.ndarray[Any, np.dtype[np.int64]]

# No class has this id: ids count from 1 in submissions, labels from 0 in training.
NO_GUESS = -1
LONGEST_ID = 9


def flat_error(
    truth: Sequence[int] | IntArray, predictions: Sequence[Sequence[int]] | IntArray, k: int
) -> float:
    """The share of pictures whose class is none of the first `k` guesses, in [0, 1].

    `truth`: (n,) class ids; `predictions`: n rows of ids, best first: guesses beyond `k` are ignored, missing ones are
    wrong. Raises TrainingError for unequal counts, no pictures or k < 1.
    """
    if k < 1:
        raise TrainingError(f"the error of {k} guesses is not defined: ask for at least one")
    if len(truth) != len(predictions):
        raise TrainingError(
            f"{len(predictions)} lines of predictions for {len(truth)} pictures: the counts must agree"
        )
    if len(truth) == 0:
        raise TrainingError("there are no pictures to score")
    wrong = np.asarray(truth, dtype=np.int64)[:, None] != padded(predictions, k)
    return float(wrong.all(axis=1).mean())


def padded(predictions: Sequence[Sequence[int]] | IntArray, k: int) -> IntArray:
    """The first `k` guesses of each row as (n, k), missing ones as NO_GUESS."""
    rows = np.full((len(predictions), k), NO_GUESS, dtype=np.int64)
    if isinstance(predictions, np.ndarray):
        width = min(k, predictions.shape[1])
        rows[:, :width] = predictions[:, :width]
        return rows
    for row, guesses in zip(rows, predictions, strict=True):
        row[: min(k, len(guesses))] = guesses[:k]
    return rows


def flat_errors(
    truth: Sequence[int] | IntArray, predictions: Sequence[Sequence[int]] | IntArray, guesses: int = 5
) -> tuple[float, ...]:
    """The flat errors of one guess, two guesses … `guesses` guesses."""
    return tuple(flat_error(truth, predictions, k) for k in range(1, guesses + 1))


def parse_predictions(lines: Iterable[str], name: str = "predictions") -> list[list[int]]:
    """Rows of class ids out of a submission's lines. 0 stands for no guess.

    Raises TrainingError, naming `name` and the line, for a blank line (the devkit's own reader would drop it and shift
    all rows below) and for what is not a whole number from 0.
    """
    rows: list[list[int]] = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            raise TrainingError(
                f"{name}, line {number} is blank: every picture needs a line; write 0 for no guess"
            )
        rows.append([_class_id(word, name, number) for word in words])
    return rows


def _class_id(word: str, name: str, number: int) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= LONGEST_ID):
        raise TrainingError(
            f"{name}, line {number}: {word!r} is not a class id; ids are whole numbers from 1"
        )
    return int(word) or NO_GUESS
