"""Files that workers uploaded in answer to a FileUploadAnswer: kept, found, read in pieces, deleted.

They are in the store, so that an answer and its file are one transaction, and a backup has both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import glancing
from .identifiers import new_entity_id, signature
from .tables import assignments, upload_pieces, uploads

PIECE_BYTES = 256 * 1024
ADDRESS_LIFE = timedelta(seconds=60)
FILE = "file"
"""What the signatures of files' addresses are for."""


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file that came with a form; `name` is what its sender called it, `key` what it will be known by."""

    name: str
    size: int
    stream: IO[bytes]
    key: str = field(default_factory=new_entity_id)


@dataclass(frozen=True, slots=True)
class Upload:
    """A kept file; its size is in bytes."""

    number: int
    key: str
    name: str
    size: int


def keep(connection: Connection, assignment_number: int, question: str, incoming: IncomingFile) -> None:
    """Store a file as the answer to a question, in the transaction that stores the other answers."""
    number = connection.execute(
        uploads.insert()
        .values(
            upload_key=incoming.key,
            assignment_number=assignment_number,
            question=question,
            name=incoming.name,
            size=incoming.size,
        )
        .returning(uploads.c.number)
    ).scalar_one()
    incoming.stream.seek(0)
    for place, piece in enumerate(iter(lambda: incoming.stream.read(PIECE_BYTES), b"")):
        connection.execute(
            upload_pieces.insert(), {"upload_number": number, "place": place, "content": piece}
        )


def find_answer(connection: Connection, assignment_id: str, question: str) -> Upload | None:
    """The file that answers a question of an assignment, or None."""
    return _one(
        connection,
        sa.select(uploads)
        .select_from(uploads.join(assignments))
        .where(assignments.c.assignment_id == assignment_id, uploads.c.question == question),
    )


def find_upload(engine: Engine, key: str) -> Upload | None:
    """The file with this key, or None."""
    with glancing(engine) as connection:
        return _one(connection, sa.select(uploads).where(uploads.c.upload_key == key))


def _one(connection: Connection, query: sa.Select[tuple[object, ...]]) -> Upload | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else Upload(row.number, row.upload_key, row.name, row.size)


def address_of(files_url: str, secret: str, upload: Upload, now: datetime) -> str:
    """An address that gives out a file for `ADDRESS_LIFE`, to whoever has it."""
    expires = str(int((now + ADDRESS_LIFE).timestamp()))
    query = {"expires": expires, "proof": signature(secret, FILE, upload.key, expires)}
    return f"{files_url}/files/{upload.key}?{urlencode(query)}"


def pieces(engine: Engine, upload: Upload) -> Iterator[bytes]:
    """A file's content, one piece in memory at a time; ends early if it is deleted meanwhile."""
    place = 0
    while True:
        with glancing(engine) as connection:
            piece = connection.scalar(
                sa.select(upload_pieces.c.content).where(
                    upload_pieces.c.upload_number == upload.number, upload_pieces.c.place == place
                )
            )
        if piece is None:
            return
        yield piece
        place += 1


def delete_of_hit(connection: Connection, hit_number: int) -> None:
    """Delete the files of a HIT that is disposed of."""
    _delete(connection, assignments.c.hit_number == hit_number)


def delete_of_worker(connection: Connection, worker_id: str) -> None:
    """Delete the files of a worker who is erased."""
    _delete(connection, assignments.c.worker_id == worker_id)


def _delete(connection: Connection, condition: sa.ColumnElement[bool]) -> None:
    numbers = (
        sa.select(uploads.c.number).select_from(uploads.join(assignments)).where(condition).subquery("gone")
    )
    for column in (upload_pieces.c.upload_number, uploads.c.number):
        connection.execute(column.table.delete().where(column.in_(sa.select(numbers.c.number))))
