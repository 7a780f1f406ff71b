"""`controls import`: a table of pictures whose answer the user knows."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hits import database
from hits.model import Answer
from wordnet_synsets.errors import UnknownSynset

from .answer_tables import separator
from .errors import PublishError
from .selection import meant_here
from .store import categories
from .store.controls import known_images

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from wordnet_synsets.graph import Graph

    from .controls import Labelled
    from .project import Project

COLUMNS = ("picture", "category", "answer")
ANSWERS = {Answer.YES.value: Answer.YES, Answer.NO.value: Answer.NO}
SHA256 = re.compile(r"[0-9a-f]{64}")


def read_known(path: Path, project: Project) -> list[Labelled]:
    """Read a CSV file of pictures (SHA-256, or a file beside the table), categories and answers, yes or no.

    Raises PublishError, with the line, for anything that is none of these or not of `project`, and for two answers to
    one question.
    """
    with database.reading(project.engine) as connection:
        return _read(path, _Known(connection, project.graph))


@dataclass
class _Known:
    """What a row may name: the pictures and categories of a project."""

    connection: sa.Connection
    graph: Graph

    @cached_property
    def wnids(self) -> frozenset[str]:
        return frozenset(category.wnid for category in categories.selected(self.connection))

    def wnid(self, where: str, category: str) -> str:
        try:
            wnid = meant_here(self.graph, category, self.wnids)
        except UnknownSynset as error:
            raise PublishError(f"{where}: {error}") from error
        if wnid not in self.wnids:
            raise PublishError(
                f"{where}: {category} ({wnid}) is no category of this project; see `imagenet-builder synsets selected`"
            )
        return wnid

    def sha256(self, where: str, folder: Path, picture: str) -> str:
        sha256 = picture if SHA256.fullmatch(picture) else _hash(where, folder, picture)
        if not known_images(self.connection, [sha256]):
            raise PublishError(
                f"{where}: the picture {picture} is not in the store; `imagenet-builder candidates --rejected` may "
                "say why"
            )
        return sha256


def _read(path: Path, known: _Known) -> list[Labelled]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, delimiter=separator(path))
            missing = [column for column in COLUMNS if column not in (table.fieldnames or ())]
            if missing:
                raise PublishError(f"{path} has no column {missing[0]}; it needs {', '.join(COLUMNS)}")
            rows = [_read_row(f"{path}, line {table.line_num}", path.parent, row, known) for row in table]
    except OSError as error:
        raise PublishError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise PublishError(f"{path} is no CSV table in UTF-8: {error}") from error
    answers: dict[tuple[str, str], Answer] = {}
    for sha256, wnid, answer in rows:
        if answers.setdefault((sha256, wnid), answer) is not answer:
            raise PublishError(f"{path} gives the picture {sha256} of {wnid} two answers; keep one")
    return [(sha256, wnid, answer) for (sha256, wnid), answer in answers.items()]


def _read_row(where: str, folder: Path, row: Mapping[str, str | None], known: _Known) -> Labelled:
    picture, category, answer = ((row[column] or "").strip() for column in COLUMNS)
    if answer.lower() not in ANSWERS:
        raise PublishError(f"{where}: the answer is yes or no, not {answer!r}")
    wnid = known.wnid(where, category)
    return known.sha256(where, folder, picture), wnid, ANSWERS[answer.lower()]


def _hash(where: str, folder: Path, picture: str) -> str:
    try:
        return hashlib.sha256((folder / picture).read_bytes()).hexdigest()
    except OSError as error:
        raise PublishError(f"{where}: cannot read the picture {picture}: {error.strerror}") from error
