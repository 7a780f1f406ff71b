"""Where every picture came from: images.parquet, attribution.txt and the sealed files of hidden splits.

For train and val the first two say everything. For test they say of a picture no more than its file does, and which
authors and licences occur, once each and shuffled by a key; a source's page, title or address would tell the class.
The rest is in `test.sealed`, which only the project's key opens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from hashlib import blake2b
from hashlib import sha256 as sha256_of
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from imagenet_builder.jpeg import read_plain_jpeg
from imagenet_builder.records import Rights, Split
from imagenet_builder.store.export import Provenance
from imagenet_builder.train.sealed import (
    derived_key,
    fingerprint,
    seal,
    sealed_name,
    sealing_key,
    write_table,
)

from .description import Release, ReleasePicture
from .facts import Facts, licence_name
from .tree import Tree

IMAGES_NAME, ATTRIBUTION_NAME = "images.parquet", "attribution.txt"
COUNT, WORDS, TIME = pa.int64(), pa.string(), pa.timestamp("s", "UTC")
# What a hidden picture's own file tells anybody: nothing else is said of it in the open.
OPEN_COLUMNS = {
    "file": WORDS,
    "split": WORDS,
    "sha256": WORDS,
    "width": COUNT,
    "height": COUNT,
    "bytes": COUNT,
}
SCHEMA = pa.schema(
    {
        **OPEN_COLUMNS,
        "wnid": WORDS,
        "label": COUNT,
        "ilsvrc_id": COUNT,
        "image_sha256": WORDS,
        "source": WORDS,
        "url": WORDS,
        "page": WORDS,
        "title": WORDS,
        "author": WORDS,
        "credit": WORDS,
        "licence": WORDS,
        "licence_version": WORDS,
        "licence_url": WORDS,
        "retrieved": TIME,
        "rule": WORDS,
        "probability": pa.float64(),
        "yes": COUNT,
        "no": COUNT,
        "unsure": COUNT,
        "broken": COUNT,
        "report": COUNT,
    }
)
COLUMNS = tuple(SCHEMA.names)
GROUP_ROWS = 10_000
ATTRIBUTION_HEAD = """\
The pictures of this dataset are other people's works, used under the licences that they gave them.
Metadata was removed from the files; some were turned upright, converted to JPEG or reduced.

Train and val, file by file
---------------------------

"""
HIDDEN_HEAD = """
{title}
{line}

Authors and licences, each once and in no order; which picture is whose would tell what it shows.

"""


class ImagesTable:
    """Writes images.parquet row by row, GROUP_ROWS at a time."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._waiting: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Add a row; columns that it lacks are empty."""
        self._waiting.append(row)
        if len(self._waiting) == GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits; the last thing before the file is closed."""
        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=SCHEMA))
        self._waiting = []


@dataclass
class ProvenanceWriter:
    """Takes one picture after the other; `facts` counts those seen so far, `keys` has those of hidden splits."""

    release: Release
    secret: bytes
    images: ImagesTable
    attribution: BinaryIO
    facts: Facts
    keys: dict[Split, bytes] = field(default_factory=dict)
    hidden: dict[Split, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    credits: dict[Split, set[bytes]] = field(default_factory=lambda: defaultdict(set))

    def add(self, picture: ReleasePicture, content: bytes, provenance: Provenance) -> None:
        """Write what may be said of a picture whose JPEG in the release is `content`, and keep the rest."""
        rights = provenance.rights
        self.facts.add(provenance)
        row = self._row(picture, content, provenance)
        if picture.split.hidden:
            self.images.add({name: row[name] for name in OPEN_COLUMNS})
            self.hidden[picture.split].append(row)
            self.credits[picture.split].add(f"{_author(rights)}, {licence_name(rights)}\n".encode())
            return
        self.images.add(row)
        title = _one_line(provenance.title) or "untitled"
        where = provenance.page_url or provenance.url
        line = f'{picture.file_name}: "{title}" by {_author(rights)}, {licence_name(rights)}, {_one_line(where)}\n'
        self.attribution.write(line.encode())

    def finish(self, tree: Tree) -> None:
        """Write the credits of hidden splits, and seal what else is known of them."""
        for split, rows in self.hidden.items():
            mark = fingerprint(row["sha256"] for row in rows)
            title = split.capitalize()
            self.attribution.write(HIDDEN_HEAD.format(title=title, line="-" * len(title)).encode())
            self.attribution.writelines(shuffled(self.credits[split], self.secret, mark))
            self.keys[split] = sealing_key(self.secret, split, mark)
            tree.write(sealed_name(split), seal(write_table(COLUMNS, rows), self.keys[split], split, mark))

    def _row(self, picture: ReleasePicture, content: bytes, provenance: Provenance) -> dict[str, Any]:
        rights, size = provenance.rights, read_plain_jpeg(content)
        one = self.release.class_of[picture.wnid]
        return {
            "file": picture.file_name,
            "split": str(picture.split),
            "sha256": sha256_of(content).hexdigest(),
            "width": size.width,
            "height": size.height,
            "bytes": len(content),
            "wnid": picture.wnid,
            "label": one.index,
            "ilsvrc_id": one.ilsvrc_id,
            "image_sha256": picture.sha256,
            "source": provenance.source,
            "url": provenance.url,
            "page": provenance.page_url,
            "title": provenance.title,
            "author": rights.author,
            "credit": rights.credit,
            "licence": rights.licence,
            "licence_version": rights.licence_version,
            "licence_url": rights.licence_url,
            "retrieved": provenance.retrieved_at.astimezone(UTC),
            "rule": provenance.rule,
            "probability": provenance.probability,
            "yes": provenance.yes,
            "no": provenance.no,
            "unsure": provenance.unsure,
            "broken": provenance.broken,
            "report": provenance.report,
        }


@contextmanager
def writing_provenance(
    release: Release, tree: Tree, facts: Facts, secret: bytes
) -> Iterator[ProvenanceWriter]:
    """Open the files in `tree`; they are finished on leaving, unless by an exception. `secret` is the project's."""
    with (
        tree.open(ATTRIBUTION_NAME, anew=True) as attribution,
        tree.open(IMAGES_NAME, anew=True) as images,
        pq.ParquetWriter(images, SCHEMA, compression="zstd") as parquet,
    ):
        attribution.write(ATTRIBUTION_HEAD.encode())
        writer = ProvenanceWriter(release, secret, ImagesTable(parquet), attribution, facts)
        yield writer
        writer.images.flush()
        writer.finish(tree)


def shuffled(credits: set[bytes], secret: bytes, mark: str) -> list[bytes]:
    """The lines in an order that only the project's secret could foretell."""
    key = derived_key(secret, "order of credits", mark)
    return sorted(credits, key=lambda line: blake2b(line, key=key).digest())


def _author(rights: Rights) -> str:
    return _one_line(rights.author or rights.credit) or "unknown author"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
