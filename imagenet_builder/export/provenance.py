"""Where every picture came from: images.csv and attribution.txt, written as the pictures are.

For train and val both say everything. For test they say only which authors and licences occur, in alphabetical order:
a source's page, title or address would tell the class.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from hashlib import sha256 as sha256_of
from typing import Any, BinaryIO

from imagenet_builder.jpeg import read_plain_jpeg
from imagenet_builder.records import Rights, Split
from imagenet_builder.store.export import Provenance

from .description import Release, ReleasePicture
from .facts import Facts, licence_name
from .tree import Tree

IMAGES_NAME, ATTRIBUTION_NAME = "images.csv", "attribution.txt"
COLUMNS = (
    "file",
    "split",
    "wnid",
    "ilsvrc_id",
    "sha256",
    "width",
    "height",
    "bytes",
    "image_sha256",
    "source",
    "url",
    "page",
    "title",
    "author",
    "credit",
    "licence",
    "licence_version",
    "licence_url",
    "retrieved",
    "rule",
    "probability",
    "yes",
    "no",
    "unsure",
    "broken",
    "report",
)
ATTRIBUTION_HEAD = """\
The pictures of this dataset are other people's works, used under the licences that they gave them.
Metadata was removed from the files; some were turned upright, converted to JPEG or reduced.

Train and val, file by file
---------------------------

"""
TEST_HEAD = """
Test
----

Authors and licences in alphabetical order; which picture is whose would tell what it shows.

"""


@dataclass
class ProvenanceWriter:
    """Takes one picture after the other; `facts` counts those seen so far."""

    release: Release
    images: BinaryIO
    attribution: BinaryIO
    facts: Facts
    test_credits: set[str] = field(default_factory=set)

    def add(self, picture: ReleasePicture, content: bytes, provenance: Provenance) -> None:
        """Write what may be said of a picture whose JPEG in the release is `content`."""
        rights = provenance.rights
        self.facts.add(provenance)
        if picture.split is Split.TEST:
            self.test_credits.add(f"{_author(rights)}, {licence_name(rights)}\n")
            return
        title = _one_line(provenance.title) or "untitled"
        where = provenance.page_url or provenance.url
        line = f'{picture.file_name}: "{title}" by {_author(rights)}, {licence_name(rights)}, {_one_line(where)}\n'
        self.attribution.write(line.encode())
        self.images.write(_row(self._fields(picture, content, provenance)))

    def finish(self) -> None:
        """Write what is said of test: authors and licences, without order or number."""
        if self.test_credits:
            self.attribution.write(TEST_HEAD.encode())
            self.attribution.writelines(line.encode() for line in sorted(self.test_credits))

    def _fields(self, picture: ReleasePicture, content: bytes, provenance: Provenance) -> list[Any]:
        rights, size = provenance.rights, read_plain_jpeg(content)
        return [
            picture.file_name,
            picture.split,
            picture.wnid,
            self.release.class_of[picture.wnid].ilsvrc_id,
            sha256_of(content).hexdigest(),
            size.width,
            size.height,
            len(content),
            picture.sha256,
            provenance.source,
            provenance.url,
            provenance.page_url,
            provenance.title,
            rights.author,
            rights.credit,
            rights.licence,
            rights.licence_version,
            rights.licence_url,
            provenance.retrieved_at.astimezone(UTC).isoformat(timespec="seconds"),
            provenance.rule,
            "" if provenance.probability is None else f"{provenance.probability:.6f}",
            provenance.yes,
            provenance.no,
            provenance.unsure,
            provenance.broken,
            provenance.report,
        ]


@contextmanager
def writing_provenance(release: Release, tree: Tree, facts: Facts) -> Iterator[ProvenanceWriter]:
    """Open both files in `tree`; they are finished on leaving, unless by an exception."""
    with tree.open(ATTRIBUTION_NAME) as attribution, tree.open(IMAGES_NAME) as images:
        attribution.write(ATTRIBUTION_HEAD.encode())
        images.write(_row(list(COLUMNS)))
        writer = ProvenanceWriter(release, images, attribution, facts)
        yield writer
        writer.finish()


def _author(rights: Rights) -> str:
    return _one_line(rights.author or rights.credit) or "unknown author"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _row(fields: list[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue().encode()
