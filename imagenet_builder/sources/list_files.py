"""Lists of addresses, read a row at a time from any row on: CSV, Parquet, one address a line; local or in a bucket."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from imagenet_builder.config import UrlListSettings
from imagenet_builder.errors import SourceError

from .matching import WordIndex, words_of_address
from .remote_files import is_bucket, open_object

PARQUET = (".parquet", ".pq")
TABLES = {".csv": ",", ".tsv": "\t"}
MOST_LINE = 1_000_000
BATCH = 16_384
READ_AHEAD = 4 * 1024 * 1024
# So many rows without a wanted one are told as passed over.
STRIDE = 4096
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


FIELDS = tuple(ListRow.__dataclass_fields__)
# A wanted row, and the numbers of the categories that it is for; or None for rows that were passed over.
Step = tuple[Position, ListRow | None, Sequence[int]]


class Wanted:
    """The rows that any of several categories wants: those of its wnid, and those without one by their caption.

    Each category is a wnid with the `|`-separated words that it seeks, and known by its number.
    """

    def __init__(self, categories: Sequence[tuple[str, str]]) -> None:
        self._of_wnid: dict[str, list[int]] = {}
        for number, (wnid, _) in enumerate(categories):
            self._of_wnid.setdefault(wnid, []).append(number)
        self._words = WordIndex([sought for _, sought in categories])

    def numbers(self, wnid: str, caption: str) -> Sequence[int]:
        """The numbers of the categories that want a row with this wnid (maybe empty) and caption."""
        if wnid and (named := wnid.strip()):
            return self._of_wnid.get(named, ())
        return self._words.matches(caption)


class ListFile:
    """One list of `settings`, at `path` or under a bucket's address; if it `must_tell`, with a column of licences."""

    def __init__(self, place: str, path: Path, settings: UrlListSettings, *, must_tell: bool = False) -> None:
        self.place = place
        self._path = path
        self._must_tell = must_tell
        self._columns = {
            "url": settings.url_column,
            "caption": settings.caption_column,
            "wnid": settings.wnid_column,
            "licence": settings.licence_column,
            "author": settings.author_column,
            "page": settings.page_column,
        }

    def scan(self, start: Position, wanted: Wanted) -> Iterator[Step]:
        """The wanted rows after `start`, each with the position after it, and None now and then for rows passed over.

        Raises SourceError, with the line, for a list that cannot be read.
        """
        suffix = Path(self.place).suffix.lower()
        with self._opened() as file:
            if suffix in PARQUET:
                yield from self._scan_parquet(file, start, wanted)
            elif suffix in TABLES:
                yield from self._scan_table(file, start, wanted, TABLES[suffix])
            else:
                yield from self._scan_lines(file, start, wanted)

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        from obstore.exceptions import BaseError

        try:
            if is_bucket(self.place):
                with io.BufferedReader(open_object(self.place), READ_AHEAD) as reader:
                    yield reader
            else:
                with self._path.open("rb", READ_AHEAD) as file:
                    yield file
        except (BaseError, OSError) as error:
            cause = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
            keys = ", and are its keys (AWS_…) in the environment" if is_bucket(self.place) else ""
            raise SourceError(
                f"cannot read the list {self.place}: {cause}; is it right under [url_list]{keys}?"
            ) from error

    def _scan_lines(self, file: BinaryIO, start: Position, wanted: Wanted) -> Iterator[Step]:
        self._require_licence(())
        lines = _Lines(self.place, file, start)
        for line in lines:
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            named = _NAMED_LINE.fullmatch(text)
            wnid, url = (named["wnid"], named["url"].strip()) if named else ("", text)
            caption = words_of_address(url)
            numbers = wanted.numbers(wnid, caption)
            if numbers:
                yield lines.position, ListRow(url, caption, wnid), numbers
            elif lines.line % STRIDE == 0:
                yield lines.position, None, ()

    def _scan_table(self, file: BinaryIO, start: Position, wanted: Wanted, delimiter: str) -> Iterator[Step]:
        lines = _Lines(self.place, file, Position())
        try:
            header = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
            places, width = self._find(header), len(header)
            caption, wnid = places.get("caption"), places.get("wnid")
            if start.offset:
                lines = _Lines(self.place, file, start)
            for count, record in enumerate(csv.reader(lines, delimiter=delimiter, strict=True), start=1):
                if len(record) != width:
                    if not record:
                        continue
                    raise SourceError(
                        f"{self.place}, line {lines.line}: {len(record)} columns; the header has {width}"
                    )
                numbers = wanted.numbers(
                    record[wnid] if wnid is not None else "", record[caption] if caption is not None else ""
                )
                if numbers:
                    row = _row({field: record[place] for field, place in places.items()})
                    yield lines.position, row, numbers
                elif count % STRIDE == 0:
                    yield lines.position, None, ()
        except csv.Error as error:
            raise SourceError(f"{self.place}, line {lines.line}: {error}") from error

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
                    batches = table.iter_batches(BATCH, row_groups=[group], columns=list(places.values()))
                    yield from _scan_batches(batches, places, seen, start, wanted)
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
        self._require_licence(places)
        return places

    def _require_licence(self, fields: Collection[str]) -> None:
        """Raise SourceError where every row would be refused because nothing tells its licence."""
        if self._must_tell and "licence" not in fields:
            raise SourceError(
                f"{self.place} has no column {self._columns['licence']!r}: set licence_column, or licence for all "
                "rows, under [url_list], or take pictures whose licence nobody tells with --licence unknown"
            )


class _Lines:
    """The lines of a file as text, counted: what a CSV reader has taken is what `offset` and `line` say."""

    def __init__(self, name: str, file: BinaryIO, start: Position) -> None:
        self._name = name
        self._file = file
        self.offset, self.line = start.offset, start.line
        file.seek(start.offset)

    @property
    def position(self) -> Position:
        """Where the next line begins."""
        return Position(self.offset, self.line)

    def __iter__(self) -> Iterator[str]:
        read = self._file.readline
        encoding = "utf-8" if self.offset else "utf-8-sig"
        while line := read(MOST_LINE):
            self.offset += len(line)
            self.line += 1
            if len(line) == MOST_LINE:
                raise SourceError(f"{self._name}, line {self.line}: over {MOST_LINE} bytes")
            try:
                text = line.decode(encoding)
            except UnicodeDecodeError as error:
                raise SourceError(f"{self._name}, line {self.line}: not UTF-8: {error.reason}") from error
            encoding = "utf-8"
            yield text


def _scan_batches(
    batches: Iterable[Any], places: dict[str, str], before: int, start: Position, wanted: Wanted
) -> Iterator[Step]:
    """The wanted rows of a row group; `before` is the number of rows before it."""
    for batch in batches:
        first = max(0, start.offset - before)
        if first < batch.num_rows:
            part = batch.slice(first)
            for number, row, numbers in _wanted_rows(part, places, wanted):
                after = before + first + number + 1
                yield Position(after, after), row, numbers
        before += batch.num_rows
        end = max(before, start.offset)
        yield Position(end, end), None, ()


def _wanted_rows(
    batch: Any, places: dict[str, str], wanted: Wanted
) -> Iterator[tuple[int, ListRow, Sequence[int]]]:
    """The wanted rows of a batch, with their numbers in it; of the others nothing but words and wnids is looked at."""
    import pyarrow as pa
    import pyarrow.compute as compute

    def column(field: str) -> Any:
        return compute.fill_null(batch.column(places[field]).cast(pa.string()), "")

    empty = [""] * batch.num_rows
    wnids = column("wnid").to_pylist() if "wnid" in places else empty
    captions = column("caption").to_pylist() if "caption" in places else empty
    hits = [
        (number, numbers) for number, numbers in enumerate(map(wanted.numbers, wnids, captions)) if numbers
    ]
    taken = pa.array([number for number, _ in hits], pa.int64())
    values = {field: column(field).take(taken).to_pylist() for field in places}
    for place, (number, numbers) in enumerate(hits):
        yield number, _row({field: texts[place] for field, texts in values.items()}), numbers


def _row(values: dict[str, str]) -> ListRow:
    return ListRow(**{field: text.strip() for field, text in values.items()})
