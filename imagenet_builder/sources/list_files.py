"""Lists of addresses, read a row at a time from any row on: CSV, Parquet, one address a line; local or in a bucket."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from imagenet_builder.config import UrlListSettings
from imagenet_builder.errors import SourceError
from imagenet_builder.images import BUCKET_SCHEMES

from .matching import compiled, expression, words_of_address

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PARQUET = (".parquet", ".pq")
TABLES = {".csv": ",", ".tsv": "\t"}
MOST_LINE = 1_000_000
BATCH = 16_384
READ_AHEAD = 4 * 1024 * 1024
# ImageNet's own lists have "n02084071_12<tab>http://…".
_NAMED_LINE = re.compile(r"(?P<wnid>n\d{8})(?:_\d+)?[\s,]+(?P<url>\S.*)")


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on: `offset` in bytes (text) or rows (Parquet), and the number of rows or lines before."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class ListRow:
    """One row; what the list does not have is empty."""

    url: str
    caption: str = ""
    wnid: str = ""
    licence: str = ""
    author: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows of `wnid`, and rows without any whose caption has one of the `|`-separated words `sought`."""

    wnid: str
    sought: str


FIELDS = tuple(ListRow.__dataclass_fields__)
Step = tuple[Position, ListRow | None]


class ListFile:
    """One list of `settings`, at `path` or under a bucket's address."""

    def __init__(self, place: str, path: Path, settings: UrlListSettings) -> None:
        self.place = place
        self._path = path
        self._columns = {
            "url": settings.url_column,
            "caption": settings.caption_column,
            "wnid": settings.wnid_column,
            "licence": settings.licence_column,
            "author": settings.author_column,
            "page": settings.page_column,
        }

    def scan(self, start: Position, wanted: Wanted) -> Iterator[Step]:
        """The wanted rows from `start` on, each with the position after it; None stands for rows passed over.

        Raises SourceError, with the line, for a list that cannot be read.
        """
        suffix = Path(self.place).suffix.lower()
        with self._opened() as file:
            if suffix in PARQUET:
                yield from self._scan_parquet(file, start, wanted)
                return
            rows = (
                self._table_rows(file, start, TABLES[suffix])
                if suffix in TABLES
                else self._lines(file, start)
            )
            pattern = compiled(wanted.sought)
            for position, row in rows:
                hit = row.wnid == wanted.wnid if row.wnid else pattern.search(row.caption)
                yield position, row if hit else None

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        from obstore.exceptions import BaseError

        try:
            if is_bucket(self.place):
                with io.BufferedReader(_open_object(self.place), READ_AHEAD) as reader:
                    yield reader
            else:
                with self._path.open("rb", READ_AHEAD) as file:
                    yield file
        except (BaseError, OSError) as error:
            cause = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
            raise SourceError(
                f"cannot read the list {self.place}: {cause}; is it right under [url_list]?"
            ) from error

    def _lines(self, file: BinaryIO, start: Position) -> Iterator[tuple[Position, ListRow]]:
        lines = _Lines(self.place, file, start)
        for line in lines:
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            named = _NAMED_LINE.fullmatch(text)
            url = named["url"].strip() if named else text
            row = ListRow(url, words_of_address(url), named["wnid"] if named else "")
            yield lines.position, row

    def _table_rows(
        self, file: BinaryIO, start: Position, delimiter: str
    ) -> Iterator[tuple[Position, ListRow]]:
        lines = _Lines(self.place, file, Position())
        try:
            header = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
            places = self._find(header)
            if start.offset:
                lines = _Lines(self.place, file, start)
            for record in csv.reader(lines, delimiter=delimiter, strict=True):
                if not record:
                    continue
                if len(record) != len(header):
                    raise SourceError(
                        f"{self.place}, line {lines.position.line}: {len(record)} columns; the header has {len(header)}"
                    )
                yield lines.position, _row({field: record[place] for field, place in places.items()})
        except csv.Error as error:
            raise SourceError(f"{self.place}, line {lines.position.line}: {error}") from error

    def _scan_parquet(self, file: BinaryIO, start: Position, wanted: Wanted) -> Iterator[Step]:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        try:
            table = parquet.ParquetFile(file)
            names = table.schema_arrow.names
            places = {field: names[place] for field, place in self._find(names).items()}
            seen = 0
            for group in range(table.num_row_groups):
                rows = table.metadata.row_group(group).num_rows
                if seen + rows > start.offset:
                    yield from _scan_group(table, group, places, Position(seen, seen), start, wanted)
                seen += rows
        except pa.ArrowException as error:
            cause = str(error).splitlines()[0]
            raise SourceError(f"{self.place} cannot be read as Parquet: {cause}") from error

    def _find(self, names: Sequence[str]) -> dict[str, int]:
        """Which column holds each field; raises SourceError without an address, or without any way to match."""
        lowered = [name.strip().lower() for name in names]
        places = {
            field: lowered.index(column.lower())
            for field, column in self._columns.items()
            if column and column.lower() in lowered
        }
        if "url" not in places:
            raise SourceError(
                f"{self.place}, line 1: no column {self._columns['url']!r}; set url_column under [url_list] to one of "
                f"{', '.join(names) or 'its columns'}"
            )
        if "caption" not in places and "wnid" not in places:
            raise SourceError(
                f"{self.place}, line 1: neither a column {self._columns['caption']!r} nor {self._columns['wnid']!r}; "
                "set caption_column or wnid_column under [url_list]"
            )
        return places


class _Lines:
    """The lines of a file as text, counted: what a CSV reader has taken is what `position` says."""

    def __init__(self, name: str, file: BinaryIO, start: Position) -> None:
        self._name = name
        self._file = file
        self.position = start
        file.seek(start.offset)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(MOST_LINE)
        if not line:
            raise StopIteration
        first = self.position.offset == 0
        self.position = Position(self.position.offset + len(line), self.position.line + 1)
        if len(line) == MOST_LINE:
            raise SourceError(f"{self._name}, line {self.position.line}: over {MOST_LINE} bytes")
        try:
            return line.decode("utf-8-sig" if first else "utf-8")
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self._name}, line {self.position.line}: not UTF-8: {error.reason}"
            ) from error


def _scan_group(
    table: Any, group: int, places: dict[str, str], first: Position, start: Position, wanted: Wanted
) -> Iterator[Step]:
    """One row group of a Parquet file; `first` is where it begins."""
    seen = first.offset
    for batch in table.iter_batches(BATCH, row_groups=[group], columns=list(places.values())):
        skipped = max(0, start.offset - seen)
        if skipped < batch.num_rows:
            for number, row in _wanted_rows(batch.slice(skipped), places, wanted):
                after = seen + skipped + number + 1
                yield Position(after, after), row
        seen += batch.num_rows
        yield Position(max(seen, start.offset), max(seen, start.offset)), None


def _wanted_rows(batch: Any, places: dict[str, str], wanted: Wanted) -> Iterator[tuple[int, ListRow]]:
    """The wanted rows of a batch and their numbers in it, found without a loop over the others."""
    import pyarrow as pa
    import pyarrow.compute as compute

    none = pa.array([""] * batch.num_rows)

    def column(field: str) -> Any:
        return (
            compute.fill_null(batch.column(places[field]).cast(pa.string()), "") if field in places else none
        )

    wnids, captions = column("wnid"), column("caption")
    unnamed = compute.equal(wnids, "")
    worded = compute.match_substring_regex(captions, expression(wanted.sought), ignore_case=True)
    hits = compute.or_(compute.equal(wnids, wanted.wnid), compute.and_(unnamed, worded))
    numbers = compute.indices_nonzero(hits)
    values = {field: column(field).take(numbers).to_pylist() for field in places}
    for place, number in enumerate(numbers.to_pylist()):
        yield number, _row({field: texts[place] for field, texts in values.items()})


def _row(values: dict[str, str]) -> ListRow:
    return ListRow(**{field: text.strip() for field, text in values.items()})


def is_bucket(place: str) -> bool:
    """Whether `place` is an address in a bucket, and not a file of this machine."""
    return place.partition("://")[0] in BUCKET_SCHEMES and "://" in place


def _open_object(address: str) -> _ObjectFile:
    import obstore
    from obstore.store import from_url

    folder, _, name = address.rpartition("/")
    store = from_url(folder)
    return _ObjectFile(store, name, int(obstore.head(store, name)["size"]))


class _ObjectFile(io.RawIOBase):
    """An object in a bucket as a file that is read and sought in, a range at a time."""

    def __init__(self, store: ObjectStore, name: str, size: int) -> None:
        self._store = store
        self._name = name
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        import obstore

        end = min(self._size, self._place + len(buffer))
        if end <= self._place:
            return 0
        found = bytes(obstore.get_range(self._store, self._name, start=self._place, end=end))
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)
