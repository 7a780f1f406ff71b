"""Where every picture came from: images.parquet, attribution.txt and the sealed files of hidden splits.

For train and val the first two say everything. For test they say of a picture no more than its file does, and which
authors and licences occur, once each and shuffled by a key; a source's page, title or address would tell the class.
The rest is in `test.sealed`, which only the project's key opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from imagenet_builder.records import Rights, Split
from imagenet_builder.store.provenance import Provenance
from imagenet_builder.train.sealed import (
    derived_key,
    fingerprint,
    seal,
    sealed_name,
    sealing_key,
    write_table,
)

from .description import SPLITS, Release, ReleasePictures
from .facts import VOTES, Facts, licence_name, one_line
from .tree import Tree
from .writing import Pictures

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
    # The file of many in which it stands as it is, if there is one, and where it begins.
    "shard": WORDS,
    "offset": COUNT,
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
        **dict.fromkeys(VOTES, COUNT),
    }
)
# Where a picture stands in the release is no secret.
SEALED_COLUMNS = tuple(name for name in SCHEMA.names if name not in {"shard", "offset"})
GROUP_ROWS = 10_000
ATTRIBUTION_HEAD = """\
The pictures of this dataset are works of the people named here, used under the licences that they gave them.
Metadata was removed from the files; some were turned upright, converted to JPEG or reduced. LICENSES.txt says where the
text of each licence is.

Train and val, file by file
---------------------------

"""
HIDDEN_HEAD = """
{title}
{line}

Authors and licences, each once and in no order; which picture is whose would tell what it shows.

"""


def write_provenance(
    release: Release,
    pictures: Pictures,
    origins: Callable[[slice], Sequence[Provenance]],
    tree: Tree,
    facts: Facts,
    secret: bytes,
) -> dict[Split, bytes]:
    """Write where all pictures came from; returns the keys of hidden splits. `secret` is the project's.

    `origins` tells it of the pictures at some places; `facts` counts what they are.
    """
    with (
        tree.open(ATTRIBUTION_NAME, anew=True) as attribution,
        tree.open(IMAGES_NAME, anew=True) as images,
        pq.ParquetWriter(images, SCHEMA, compression="zstd") as parquet,
    ):
        attribution.write(ATTRIBUTION_HEAD.encode())
        hidden: dict[Split, _Hidden] = {}
        first = 0
        for split in SPLITS:
            of_split = release.of_split(split)
            for start in range(0, len(of_split), GROUP_ROWS):
                some = of_split[start : start + GROUP_ROWS]
                known = origins(slice(first + start, first + start + len(some)))
                facts.add(known)
                table = _table(release, pictures, first + start, some, known)
                if split.hidden:
                    credits = (f"{_author(one.rights)}, {licence_name(one.rights)}\n" for one in known)
                    hidden.setdefault(split, _Hidden()).add(table, credits)
                    table = _opened(table)
                else:
                    credited = map(_credit, table["file"].to_pylist(), known)
                    attribution.write("".join(credited).encode())
                parquet.write_table(table)
            first += len(of_split)
        keys = {}
        for split, one in hidden.items():
            keys[split] = _seal(split, one, tree, attribution, secret)
    return keys


@dataclass
class _Hidden:
    """What is known of a hidden split's pictures, in their order, and the credits that they share."""

    tables: list[pa.Table] = field(default_factory=list)
    credits: set[bytes] = field(default_factory=set)

    def add(self, table: pa.Table, credits: Iterable[str]) -> None:
        self.tables.append(table)
        self.credits.update(line.encode() for line in credits)


def _seal(split: Split, hidden: _Hidden, tree: Tree, attribution: BinaryIO, secret: bytes) -> bytes:
    """Write the credits of a hidden split, seal what else is known of it, and return the key."""
    table = pa.concat_tables(hidden.tables).select(SEALED_COLUMNS)
    mark = fingerprint(table["sha256"].to_pylist())
    title = split.capitalize()
    attribution.write(HIDDEN_HEAD.format(title=title, line="-" * len(title)).encode())
    attribution.writelines(shuffled(hidden.credits, secret, mark))
    key = sealing_key(secret, split, mark)
    # Rows are thirty objects each: not all of them at once.
    rows = (row for batch in table.to_batches(GROUP_ROWS) for row in batch.to_pylist())
    tree.write(sealed_name(split), seal(write_table(SEALED_COLUMNS, rows), key, split, mark))
    return key


def _table(
    release: Release,
    pictures: Pictures,
    start: int,
    some: ReleasePictures,
    known: Sequence[Provenance],
) -> pa.Table:
    """Everything that is known of pictures of one split, the first of which is at `start` of the release."""
    places = slice(start, start + len(some))
    measures = pictures.measures[places]
    ids = np.array([one.ilsvrc_id for one in release.classes])
    rights = [one.rights for one in known]
    shards = pa.array([*pictures.shards, None], WORDS)
    columns: dict[str, Any] = {
        "file": [one.file_name for one in some],
        "split": [str(some[0].split)] * len(some),
        "sha256": _hexadecimal(measures["sha256"]),
        "width": measures["width"],
        "height": measures["height"],
        "bytes": measures["bytes"],
        # The number of no shard, -1, is the place of None, which is last.
        "shard": shards.take(pa.array(pictures.shard_of[places] % len(shards))),
        "offset": pa.array(measures["offset"], COUNT, mask=measures["offset"] < 0),
        "wnid": pa.array(some.wnids, WORDS).take(pa.array(some.labels)),
        "label": some.labels,
        "ilsvrc_id": ids[some.labels],
        "image_sha256": some.images.astype(np.str_).tolist(),
        "source": [one.source for one in known],
        "url": [_address(one) for one in known],
        "page": [one.page_url for one in known],
        "title": [one.title for one in known],
        "author": [one.author for one in rights],
        "credit": [one.credit for one in rights],
        "licence": [one.licence for one in rights],
        "licence_version": [one.licence_version for one in rights],
        "licence_url": [one.licence_url for one in rights],
        "retrieved": [int(one.retrieved_at.timestamp()) for one in known],
        "rule": [one.rule for one in known],
        "probability": [one.probability for one in known],
    }
    for vote in VOTES:
        columns[vote] = [getattr(one, vote) for one in known]
    return pa.table(
        [
            column
            if isinstance(column, pa.Array | pa.ChunkedArray)
            else pa.array(column, SCHEMA.field(name).type)
            for name, column in columns.items()
        ],
        schema=SCHEMA,
    )


def _opened(table: pa.Table) -> pa.Table:
    """The table with nothing but what a hidden picture's own file tells."""
    return pa.table(
        [table[one.name] if one.name in OPEN_COLUMNS else pa.nulls(len(table), one.type) for one in SCHEMA],
        schema=SCHEMA,
    )


def _hexadecimal(digests: npt.NDArray[np.void]) -> list[str]:
    letters = digests.tobytes().hex()
    width = 2 * digests.dtype.itemsize
    return [letters[start : start + width] for start in range(0, len(letters), width)]


def _credit(file_name: str, known: Provenance) -> str:
    title = one_line(known.title) or "untitled"
    where = one_line(known.page_url or _address(known))
    rights = known.rights
    told = (_author(rights), licence_name(rights), *([where] if where else []))
    return f'{file_name}: "{title}" by {", ".join(told)}\n'


def _address(known: Provenance) -> str | None:
    """Where a picture was fetched; None for a file of the makers, whose folders are nobody else's concern."""
    return None if known.url.startswith("file:") else known.url


def shuffled(credits: set[bytes], secret: bytes, mark: str) -> list[bytes]:
    """The lines in an order that only the project's secret could foretell."""
    key = derived_key(secret, "order of credits", mark)
    return sorted(credits, key=lambda line: blake2b(line, key=key).digest())


def _author(rights: Rights) -> str:
    return one_line(rights.author or rights.credit) or "unknown author"
