"""Localization error of ILSVRC-2012: a guess is right when its class is, and its box covers one of the class's.

A submission has a line a picture with up to five guesses of five numbers each: class id, xmin, ymin, xmax, ymax, in
pixels from 1, both ends included (devkit, readme.txt, section 3.2). A box is found where intersection over union is
at least 0.5.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imagenet_builder.errors import TrainingError

from .evaluate import LONGEST_ID

LEAST_OVERLAP = 0.5
NUMBERS = 5


class Box(NamedTuple):
    """A rectangle in pixels; both corners belong to it."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


class BoxedGuess(NamedTuple):
    """A class id and where that thing is."""

    class_id: int
    box: Box


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, in [0, 1]."""
    width = min(one.xmax, other.xmax) - max(one.xmin, other.xmin) + 1
    height = min(one.ymax, other.ymax) - max(one.ymin, other.ymin) + 1
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def localization_errors(
    truth: Sequence[int],
    boxes: Sequence[Sequence[Box]],
    predictions: Sequence[Sequence[BoxedGuess]],
    guesses: int = 5,
) -> tuple[float, ...]:
    """The share of pictures of which neither the first guess, nor the first two … `guesses` found the thing.

    `truth` has the class id of every picture, `boxes` where it shows that class: all of one length.
    """
    right = np.zeros((len(truth), guesses), bool)
    for picture, (class_id, places, row) in enumerate(zip(truth, boxes, predictions, strict=True)):
        for number, guess in enumerate(row[:guesses]):
            right[picture, number] = guess.class_id == class_id and any(
                overlap(guess.box, place) >= LEAST_OVERLAP for place in places
            )
    return tuple(float(share) for share in 1 - np.logical_or.accumulate(right, axis=1).mean(axis=0))


def parse_boxed_predictions(lines: Iterable[str], name: str = "predictions") -> list[list[BoxedGuess]]:
    """Rows of guesses out of a submission's lines; 0 alone stands for no guess.

    Raises TrainingError, naming `name` and the line, for a blank line and for what is not guesses of five numbers.
    """
    rows: list[list[BoxedGuess]] = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        where = f"{name}, line {number}"
        if not words:
            raise TrainingError(f"{where} is blank: every picture needs a line; write 0 for no guess")
        if words == ["0"]:
            rows.append([])
            continue
        if len(words) % NUMBERS:
            raise TrainingError(
                f"{where} has {len(words)} numbers: a guess has five, class id, xmin, ymin, xmax, ymax"
            )
        rows.append([_guess(words[at : at + NUMBERS], where) for at in range(0, len(words), NUMBERS)])
    return rows


def read_boxes(path: Path, class_ids: Mapping[str, int]) -> dict[str, dict[int, list[Box]]]:
    """Picture (file name without its ending) → class id → its boxes, of a solution file as Kaggle's.

    Its columns are ImageId and PredictionString: wnid, xmin, ymin, xmax, ymax, again and again. `class_ids` maps a
    wnid to its id. Raises TrainingError for anything else.
    """
    found: dict[str, dict[int, list[Box]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                words = row["PredictionString"].split()
                places = found.setdefault(row["ImageId"], {})
                for at in range(0, len(words), NUMBERS):
                    wnid, *corners = words[at : at + NUMBERS]
                    places.setdefault(class_ids[wnid], []).append(_box(corners))
    except OSError as error:
        raise TrainingError(f"cannot read the boxes {path}: {error.strerror}") from error
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise TrainingError(
            f"{path} does not hold boxes: rows of ImageId,PredictionString with wnid xmin ymin xmax ymax are wanted "
            f"({error})"
        ) from error
    return found


def _guess(words: Sequence[str], where: str) -> BoxedGuess:
    if not (words[0].isascii() and words[0].isdigit() and len(words[0]) <= LONGEST_ID):
        raise TrainingError(f"{where}: {words[0]!r} is not a class id; ids are whole numbers from 1")
    try:
        return BoxedGuess(int(words[0]), _box(words[1:]))
    except ValueError as error:
        raise TrainingError(f"{where}: {error}") from error


def _box(words: Sequence[Any]) -> Box:
    box = Box(*(float(word) for word in words)) if len(words) == len(Box._fields) else None
    if box is None or not np.isfinite(box).all() or box.xmax < box.xmin or box.ymax < box.ymin:
        raise ValueError(f"{' '.join(map(str, words))} is not a box: xmin ymin xmax ymax")
    return box


def _area(box: Box) -> float:
    return (box.xmax - box.xmin + 1) * (box.ymax - box.ymin + 1)
