"""The noun graph as flat columns of numbers and text, and their form on disk.

Synsets are numbered by their place in `data.noun`. A graph over columns that are mapped from a file is ready at
once: nothing is turned into Python objects before somebody asks for it.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from .errors import WordNetError

FORMAT = "noun columns 1"
_MAGIC = b"WNCOLUMN"
_ALIGNMENT = 8

Numbers = memoryview  # of native unsigned 32-bit integers ("I") or bytes ("B")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of differing length in one flat column: row i is `flat[starts[i]:starts[i + 1]]`."""

    starts: Numbers
    flat: Numbers

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> Numbers:
        return self.flat[self.starts[index] : self.starts[index + 1]]

    def text(self, index: int) -> str:
        """Row `index` of a column of UTF-8 text."""
        return bytes(self[index]).decode()


@dataclass(frozen=True, slots=True)
class Columns:
    """All that the graph knows, N synsets and W words.

    `offsets` (N, ascending); the four relations (N rows of synset numbers); `sense_numbers` (N; which sense of
    its first lemma a synset is, from 1); `min_depths`, `max_depths`, `heights` (N, in steps); `records` (N rows
    of text: lexicographer file, then lemma and lex id in turn, a line break, the gloss); `words` (W rows of text,
    ascending); `senses` (W rows of synset numbers, first sense first).
    """

    offsets: Numbers
    hypernyms: Rows
    instance_hypernyms: Rows
    hyponyms: Rows
    instance_hyponyms: Rows
    sense_numbers: Numbers
    min_depths: Numbers
    max_depths: Numbers
    heights: Numbers
    records: Rows
    words: Rows
    senses: Rows


# The order on disk; "I" and "B" are plain columns, "II" and "IB" rows by their starts and their contents.
_LAYOUT = {
    "offsets": "I",
    "hypernyms": "II",
    "instance_hypernyms": "II",
    "hyponyms": "II",
    "instance_hyponyms": "II",
    "sense_numbers": "B",
    "min_depths": "B",
    "max_depths": "B",
    "heights": "B",
    "records": "IB",
    "words": "IB",
    "senses": "II",
}
_TYPES = "".join(_LAYOUT.values())
_HEADER = struct.Struct(f"=8sII{len(_TYPES)}Q")


class ColumnsUnreadable(WordNetError):
    """Bytes that are not the columns asked for: another format or fingerprint, cut short, or changed."""


def numbers(values: Iterable[int], typecode: str = "I") -> Numbers:
    """A column of unsigned integers, 32-bit ("I") or 8-bit ("B"); raises OverflowError when one does not fit."""
    return memoryview(array(typecode, values))


def rows(contents: Sequence[Sequence[int]]) -> Rows:
    """Rows of numbers, packed."""
    return Rows(_starts(contents), numbers(chain.from_iterable(contents)))


def text_rows(texts: Sequence[bytes]) -> Rows:
    """Rows of UTF-8 text, packed."""
    return Rows(_starts(texts), memoryview(b"".join(texts)))


def _starts(contents: Sequence[Sequence[int]]) -> Numbers:
    return numbers(accumulate(map(len, contents), initial=0))


def pack(columns: Columns, fingerprint: str) -> bytes:
    """The columns as bytes: a header with a CRC-32 and all lengths, `fingerprint`, then the columns, aligned."""
    sections: list[Numbers] = []
    for name in _LAYOUT:
        column = getattr(columns, name)
        sections += [column.starts, column.flat] if isinstance(column, Rows) else [column]
    stamp = _stamp(fingerprint)
    pieces = [stamp, _padding(_HEADER.size + len(stamp))]
    for section in sections:
        pieces += [section.tobytes(), _padding(section.nbytes)]
    body = b"".join(pieces)
    lengths = [section.nbytes for section in sections]
    header = _HEADER.pack(_MAGIC, 0, len(stamp), *lengths)
    return _HEADER.pack(_MAGIC, zlib.crc32(body, zlib.crc32(header)), len(stamp), *lengths) + body


def unpack(packed: memoryview, fingerprint: str) -> Columns:
    """The columns in `packed`, without copying them.

    Raises ColumnsUnreadable when they were packed for another fingerprint, format or machine, or are damaged.
    """
    if len(packed) < _HEADER.size:
        raise ColumnsUnreadable("cut short in the header")
    magic, checksum, stamp_length, *lengths = _HEADER.unpack_from(packed)
    start = _HEADER.size + stamp_length
    if magic != _MAGIC or packed[_HEADER.size : start] != _stamp(fingerprint):
        raise ColumnsUnreadable("made by another version or of other files")
    header = _HEADER.pack(_MAGIC, 0, stamp_length, *lengths)
    if zlib.crc32(packed[_HEADER.size :], zlib.crc32(header)) != checksum:
        raise ColumnsUnreadable("damaged: its checksum differs")
    start += len(_padding(start))
    sections: list[Numbers] = []
    for typecode, length in zip(_TYPES, lengths, strict=True):
        section = packed[start : start + length]
        sections.append(section.cast("I") if typecode == "I" else section)
        start += length + len(_padding(length))
    return _assemble(sections)


def _assemble(sections: list[Numbers]) -> Columns:
    remaining = iter(sections)
    found: dict[str, Numbers | Rows] = {}
    for name, types in _LAYOUT.items():
        first = next(remaining)
        found[name] = Rows(first, next(remaining)) if len(types) == 2 else first
    return Columns(**found)  # type: ignore[arg-type]  # _LAYOUT says which are rows


def _stamp(fingerprint: str) -> bytes:
    return f"{FORMAT}; {sys.byteorder}-endian; {fingerprint}".encode()


def _padding(length: int) -> bytes:
    return bytes(-length % _ALIGNMENT)
