"""`controls import`: a table of pictures whose answer the user knows."""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hits.model import Answer
from wordnet_synsets.errors import UnknownSynset

from .answer_tables import separator
from .errors import PublishError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wordnet_synsets.graph import Graph

    from .controls import Labelled

COLUMNS = ("picture", "category", "answer")
ANSWERS = {Answer.YES.value: Answer.YES, Answer.NO.value: Answer.NO}
SHA256 = re.compile(r"[0-9a-f]{64}")


def read_known(path: Path, graph: Graph) -> list[Labelled]:
    """Read a CSV file of pictures (SHA-256, or a file beside the table), categories and answers, yes or no.

    Raises PublishError, with the line, for anything that is none of these, and for two answers to one question.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, delimiter=separator(path))
            missing = [column for column in COLUMNS if column not in (table.fieldnames or ())]
            if missing:
                raise PublishError(f"{path} has no column {missing[0]}; it needs {', '.join(COLUMNS)}")
            rows = [_read_row(f"{path}, line {table.line_num}", path.parent, row, graph) for row in table]
    except OSError as error:
        raise PublishError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise PublishError(f"{path} is no CSV table in UTF-8: {error}") from error
    answers: dict[tuple[str, str], Answer] = {}
    for sha256, wnid, answer in rows:
        if answers.setdefault((sha256, wnid), answer) is not answer:
            raise PublishError(f"{path} gives the picture {sha256} of {wnid} two answers; keep one")
    return [(sha256, wnid, answer) for (sha256, wnid), answer in answers.items()]


def _read_row(where: str, folder: Path, row: Mapping[str, str | None], graph: Graph) -> Labelled:
    picture, category, answer = ((row[column] or "").strip() for column in COLUMNS)
    if answer.lower() not in ANSWERS:
        raise PublishError(f"{where}: the answer is yes or no, not {answer!r}")
    try:
        wnid = graph.resolve(category).wnid
    except UnknownSynset as error:
        raise PublishError(f"{where}: {error}") from error
    return _sha256(where, folder, picture), wnid, ANSWERS[answer.lower()]


def _sha256(where: str, folder: Path, picture: str) -> str:
    if SHA256.fullmatch(picture):
        return picture
    try:
        return hashlib.sha256((folder / picture).read_bytes()).hexdigest()
    except OSError as error:
        raise PublishError(f"{where}: cannot read the picture {picture}: {error.strerror}") from error
