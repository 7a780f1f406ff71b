"""What of iNaturalist's open-data dump is of the wanted taxa: read from the dump once, kept in a file of its own.

The dump's tables are streamed; memory holds the taxa below the wanted ones and a filter of fixed size, everything else
is in the file. Each table is one transaction: killed, the next run begins with the table that was being read.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagenet_builder.errors import SourceError

from .dump_files import Dump

logger = logging.getLogger(__name__)

# Best first: `research` is identified by several people.
GRADES = ("research", "needs_id", "casual")
# A bit for each value of the first bits of an observation's uuid: 16 MiB tell most photos apart that are not wanted.
FILTER_BITS = 27
TELL_EVERY = 20_000_000
PHOTO_COLUMNS = (
    *("observation_uuid", "photo_id", "observer_id", "extension", "license", "width", "height", "position"),
)
VERSION = "1"
SCHEMA = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # The taxon that a name means: none where it means nothing, or several.
    "CREATE TABLE names (name TEXT PRIMARY KEY, root INTEGER) WITHOUT ROWID",
    # The taxa whose photos are here.
    "CREATE TABLE roots (root INTEGER PRIMARY KEY)",
    # Observations of the roots that are being read; empty in between.
    "CREATE TABLE observations (uuid BLOB PRIMARY KEY, taxon INTEGER NOT NULL, grade INTEGER NOT NULL) WITHOUT ROWID",
    # In the order in which they are proposed: the first photo of every observation before any second one.
    "CREATE TABLE photos (root INTEGER, grade INTEGER, place INTEGER, photo INTEGER, extension TEXT NOT NULL, "
    "licence TEXT NOT NULL, width INTEGER, height INTEGER, observer INTEGER NOT NULL, observation BLOB NOT NULL, "
    "taxon INTEGER NOT NULL, PRIMARY KEY (root, grade, place, photo)) WITHOUT ROWID",
    "CREATE TABLE observers (observer INTEGER PRIMARY KEY, login TEXT NOT NULL, name TEXT NOT NULL)",
    "CREATE TABLE taxa (taxon INTEGER PRIMARY KEY, name TEXT NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class DumpPhoto:
    """A photo of the dump; `order` is its place among its taxon's, `width` and `height` the original's."""

    order: tuple[int, int, int]
    extension: str
    licence: str
    width: int | None
    height: int | None
    observation: str
    taxon: str
    login: str
    name: str

    @property
    def photo_id(self) -> int:
        """The photo's id."""
        return self.order[2]


class DumpIndex:
    """The index of `dump` in the file `path`, made and extended as names are asked for."""

    def __init__(self, dump: Dump, path: Path) -> None:
        self._dump = dump
        self._path = path
        # The table and line that was read last.
        self._at = ("", 0)

    def photos(
        self, name: str, licences: Sequence[str], worst: int, after: tuple[int, int, int], limit: int
    ) -> list[DumpPhoto]:
        """Photos of the taxon `name` (`prepare` knows it) and those below it, after `after`, best first.

        Under `licences`, as the dump writes them, of observations of grade `worst` (a place in GRADES) or better.
        """
        marks = ", ".join("?" * len(licences))
        with self._opened() as store:
            rows = store.execute(
                "SELECT grade, place, photo, extension, licence, width, height, observation, taxa.name, login, "
                "observers.name FROM names JOIN photos USING (root) LEFT JOIN observers USING (observer) "
                "LEFT JOIN taxa USING (taxon) WHERE names.name = ? AND (grade, place, photo) > (?, ?, ?) "
                f"AND grade <= ? AND licence IN ({marks}) ORDER BY grade, place, photo LIMIT ?",
                (name, *after, worst, *licences, limit),
            ).fetchall()
        return [
            DumpPhoto(
                order=(grade, place, photo),
                extension=extension,
                licence=licence,
                width=width,
                height=height,
                observation=_uuid(observation),
                taxon=taxon or "",
                login=login or "",
                name=observer or "",
            )
            for grade, place, photo, extension, licence, width, height, observation, taxon, login, observer in rows
        ]

    def prepare(self, names: Iterable[str]) -> None:
        """See that the photos of `names` are here: what is missing is read from the dump, for all names at once.

        A name is scientific, with its rank in front or without. Raises SourceError.
        """
        identity = f"{VERSION} {self._dump.identity()}"
        with self._opened() as store:
            try:
                self._begin(store, identity)
                self._extend(store, sorted(set(names)))
            except ValueError as error:
                table, line = self._at
                raise SourceError(f"{self._dump.place}: {table}, line {line}: {error}") from error

    def _extend(self, store: sqlite3.Connection, names: Sequence[str]) -> None:
        known = {name for (name,) in store.execute("SELECT name FROM names")}
        missing = [name for name in names if name not in known]
        if missing:
            self._read_names(store, missing)
        unread = "SELECT DISTINCT root FROM names WHERE root NOTNULL AND root NOT IN (SELECT root FROM roots)"
        roots = [root for (root,) in store.execute(unread)]
        if roots:
            below = self._read_descendants(store, roots)
            self._read_observations(store, roots, below)
            self._read_photos(store, roots, below)
        self._read_observers(store)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path)) as store:
                store.execute("PRAGMA synchronous = NORMAL")
                store.execute("PRAGMA cache_size = -65536")
                yield store
        except sqlite3.Error as error:
            raise SourceError(
                f"cannot use the index {self._path}: {error}; delete it, and it is made again"
            ) from error

    def _begin(self, store: sqlite3.Connection, identity: str) -> None:
        """Begin afresh where the file is new or of another state of the dump."""
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        if "about" in tables:
            found = store.execute("SELECT value FROM about WHERE name = 'identity'").fetchone()
            if found == (identity,):
                return
            logger.info("the dump %s has changed: it is read again", self._dump.place)
        with store:
            store.execute("BEGIN IMMEDIATE")
            for table in tables:
                store.execute(f"DROP TABLE {table}")
            for statement in SCHEMA:
                store.execute(statement)
            store.execute("INSERT INTO about VALUES ('identity', ?)", (identity,))

    def _read_names(self, store: sqlite3.Connection, names: Sequence[str]) -> None:
        """The taxon of each name: the one active taxon that is called so, of the rank if there is one."""
        wanted: dict[bytes, list[tuple[str, bytes]]] = {}
        for name in names:
            rank, _, word = name.rpartition(" ") if name[0].islower() else ("", "", name)
            wanted.setdefault(word.encode(), []).append((name, rank.encode()))
        found: dict[str, set[int]] = {name: set() for name in names}
        for taxon, its_rank, called, active in self._rows("taxa", ("taxon_id", "rank", "name", "active")):
            if called in wanted and active.lower() in (b"t", b"true", b"1"):
                for asked, asked_rank in wanted[called]:
                    if asked_rank in (b"", its_rank):
                        found[asked].add(int(taxon))
        with store:
            # A genus of plants may be called as one of animals is: nothing is better than the wrong one.
            store.executemany(
                "INSERT INTO names VALUES (?, ?)",
                [(name, next(iter(taxa)) if len(taxa) == 1 else None) for name, taxa in found.items()],
            )

    def _read_descendants(
        self, store: sqlite3.Connection, roots: Sequence[int]
    ) -> dict[int, tuple[int, ...]]:
        """For every taxon that is one of `roots` or below some of them: which."""
        wanted = {str(root).encode(): root for root in roots}
        below: dict[int, tuple[int, ...]] = {}
        names: list[tuple[int, str]] = []
        for taxon, ancestry, name in self._rows("taxa", ("taxon_id", "ancestry", "name")):
            # The documentation writes a backslash between the ids, the files a slash.
            above = [
                wanted[one] for one in (*ancestry.replace(b"\\", b"/").split(b"/"), taxon) if one in wanted
            ]
            if above:
                below[int(taxon)] = tuple(dict.fromkeys(above))
                names.append((int(taxon), name.decode("utf-8", "replace")))
        with store:
            store.executemany("INSERT OR IGNORE INTO taxa VALUES (?, ?)", names)
        return below

    def _read_observations(
        self, store: sqlite3.Connection, roots: Sequence[int], below: dict[int, tuple[int, ...]]
    ) -> None:
        """Keep the observations of the taxa `below`, unless a run before did for the same `roots`."""
        mark = ",".join(map(str, sorted(roots)))
        if store.execute("SELECT 1 FROM about WHERE name = 'observations' AND value = ?", (mark,)).fetchone():
            return
        grades = {grade.encode(): place for place, grade in enumerate(GRADES)}
        taxa = {str(taxon).encode() for taxon in below}

        def wanted() -> Iterator[tuple[bytes, int, int]]:
            columns = ("observation_uuid", "taxon_id", "quality_grade")
            for uuid, taxon, grade in self._rows("observations", columns):
                if taxon in taxa:
                    yield bytes.fromhex(uuid.decode().replace("-", "")), int(taxon), grades.get(grade, 2)

        with store:
            store.execute("BEGIN IMMEDIATE")
            store.execute("DELETE FROM observations")
            store.executemany("INSERT OR IGNORE INTO observations VALUES (?, ?, ?)", wanted())
            store.execute("INSERT OR REPLACE INTO about VALUES ('observations', ?)", (mark,))

    def _read_photos(
        self, store: sqlite3.Connection, roots: Sequence[int], below: dict[int, tuple[int, ...]]
    ) -> None:
        """Keep the photos of the observations, each under every root that its taxon is below."""
        bits = bytearray(1 << (FILTER_BITS - 3))
        for (uuid,) in store.execute("SELECT uuid FROM observations"):
            place = int.from_bytes(uuid[:4], "big") >> (32 - FILTER_BITS)
            bits[place >> 3] |= 1 << (place & 7)
        with store:
            store.execute("BEGIN IMMEDIATE")
            for row in self._rows("photos", PHOTO_COLUMNS):
                place = int(row[0][:8], 16) >> (32 - FILTER_BITS)
                if bits[place >> 3] & (1 << (place & 7)):
                    _keep_photo(store, row, below)
            store.execute("DELETE FROM observations")
            store.execute("DELETE FROM about WHERE name = 'observations'")
            store.executemany("INSERT INTO roots VALUES (?)", [(root,) for root in roots])
            store.execute("INSERT OR REPLACE INTO about VALUES ('observers', 'wanted')")

    def _read_observers(self, store: sqlite3.Connection) -> None:
        """Keep the names of those whose photos are here, if some came since that was done."""
        if not store.execute("SELECT 1 FROM about WHERE name = 'observers'").fetchone():
            return
        unknown = (
            "SELECT DISTINCT observer FROM photos WHERE observer NOT IN (SELECT observer FROM observers)"
        )
        missing = {str(observer).encode() for (observer,) in store.execute(unknown)}
        names = [
            (int(observer), login.decode("utf-8", "replace"), name.decode("utf-8", "replace"))
            for observer, login, name in self._rows("observers", ("observer_id", "login", "name"))
            if observer in missing
        ]
        with store:
            store.executemany("INSERT OR IGNORE INTO observers VALUES (?, ?, ?)", names)
            store.execute("DELETE FROM about WHERE name = 'observers'")

    def _rows(self, table: str, columns: Sequence[str]) -> Iterator[tuple[bytes, ...]]:
        logger.info("reading %s of the dump %s", table, self._dump.place)
        for line, row in enumerate(self._dump.rows(table, columns), start=2):
            self._at = (table, line)
            if line % TELL_EVERY == 0:
                logger.info("%d rows of %s read", line, table)
            yield row


def _keep_photo(store: sqlite3.Connection, row: tuple[bytes, ...], below: dict[int, tuple[int, ...]]) -> None:
    observation = bytes.fromhex(row[0].decode().replace("-", ""))
    found = store.execute("SELECT taxon, grade FROM observations WHERE uuid = ?", (observation,)).fetchone()
    if found is None:
        return
    taxon, grade = found
    photo, observer, width, height, place = (
        int(row[field]) if row[field] else None for field in (1, 2, 5, 6, 7)
    )
    extension, licence = row[3].decode(), row[4].decode()
    store.executemany(
        "INSERT OR IGNORE INTO photos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                root,
                grade,
                place or 0,
                photo,
                extension,
                licence,
                width,
                height,
                observer or 0,
                observation,
                taxon,
            )
            for root in below[taxon]
        ],
    )


def _uuid(observation: bytes) -> str:
    text = observation.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
