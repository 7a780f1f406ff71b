"""Where WordNet's files are: a folder named by the user, NLTK's corpora, Debian's package, NLTK's downloader."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import WordNetNotFound, WrongWordNet

FILE_NAMES = ("data.noun", "index.noun")
DEBIAN_FOLDER = Path("/usr/share/wordnet")
REMEDY = "apt-get install wordnet-base, or name the folder that holds data.noun with --wordnet DIR"


@dataclass(frozen=True, slots=True)
class WordNetFiles:
    """A folder, or a folder `inside` a zip archive, that holds data.noun and index.noun."""

    path: Path
    inside: str | None = None

    def read(self, name: str) -> bytes:
        """The bytes of one of the two files; raises WrongWordNet when it cannot be read."""
        from zipfile import BadZipFile, ZipFile  # costs 5 ms, and the cache spares most commands from it

        try:
            if self.inside is None:
                return (self.path / name).read_bytes()
            with ZipFile(self.path) as archive:
                return archive.read(self.inside + name)
        except (OSError, KeyError, BadZipFile) as error:
            raise WrongWordNet(f"cannot read {name} in {self.path} ({error}): {REMEDY}") from error

    def fingerprint(self) -> str:
        """A text that changes when the files do: path, sizes and times of change."""
        names = FILE_NAMES if self.inside is None else ("",)
        try:
            states = [(self.path / name).stat() for name in names]
        except OSError as error:
            raise WrongWordNet(f"cannot read WordNet in {self.path} ({error.strerror}): {REMEDY}") from error
        sizes = " ".join(f"{state.st_size}@{state.st_mtime_ns}" for state in states)
        return f"{self.path.resolve()} {sizes}"


def find_wordnet(
    chosen: Path | None = None,
    *,
    places: Sequence[Path] | None = None,
    download: bool = False,
    index_url: str | None = None,
) -> WordNetFiles:
    """WordNet's files in `chosen`, or else in the first of `places` that has them.

    `chosen` may also be WordNet's own distribution, an NLTK data folder, or a zip archive of any of them. With
    `download`, NLTK's downloader is the last resort (`index_url` names another server than NLTK's own).
    Raises WordNetNotFound, naming every place; the version is checked when the files are read.
    """
    if chosen is not None:
        found = next(_files_in(chosen.expanduser()), None)
        if found is None:
            raise WordNetNotFound(f"{chosen} does not hold {' and '.join(FILE_NAMES)}: {REMEDY}")
        return found
    searched = default_places() if places is None else places
    found = _first(searched)
    tried = ", ".join(map(str, searched))
    if found is None and download:
        told = _download(index_url)
        found = _first(searched)
        tried += f"; NLTK's downloader: {told or 'nothing downloaded'}"
    if found is None:
        raise WordNetNotFound(f"WordNet 3.0 is not here: {REMEDY} (looked in {tried})")
    return found


def default_places(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """NLTK's data folders, in NLTK's own order, then Debian's WordNet."""
    named = [Path(part) for part in environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    prefix = Path(sys.prefix)
    roots = [
        *named,
        Path("~/nltk_data"),
        *(prefix / folder for folder in ("nltk_data", "share/nltk_data", "lib/nltk_data")),
        *map(Path, ("/usr/share/nltk_data", "/usr/local/share/nltk_data")),
        *map(Path, ("/usr/lib/nltk_data", "/usr/local/lib/nltk_data")),
    ]
    expanded = (Path(os.path.expanduser(root)) for root in roots)  # noqa: PTH111 - Path's raises without a home
    return (*dict.fromkeys(expanded), DEBIAN_FOLDER)


def _first(places: Sequence[Path]) -> WordNetFiles | None:
    return next((files for place in places for files in _files_in(place)), None)


def _files_in(place: Path) -> Iterator[WordNetFiles]:
    for folder in (place, place / "dict", place / "corpora" / "wordnet"):
        if all(os.path.isfile(folder / name) for name in FILE_NAMES):  # noqa: PTH113 - Path's raises
            yield WordNetFiles(folder)
    for archive in (place, place / "corpora" / "wordnet.zip"):
        if os.path.isfile(archive):  # noqa: PTH113
            yield from _files_in_archive(archive)


def _files_in_archive(path: Path) -> Iterator[WordNetFiles]:
    from zipfile import BadZipFile, ZipFile, is_zipfile

    if not is_zipfile(path):
        return
    try:
        with ZipFile(path) as archive:
            members = set(archive.namelist())
    except (OSError, BadZipFile) as error:
        raise WrongWordNet(f"cannot read {path} ({error}): {REMEDY}") from error
    data_name, index_name = FILE_NAMES
    for member in sorted(members):
        inside = member.removesuffix(data_name)
        if inside != member and inside[-1:] in ("", "/") and inside + index_name in members:
            yield WordNetFiles(path, inside)


def _download(index_url: str | None) -> str:
    """Ask NLTK's downloader for its corpus `wordnet`, which is version 3.0; what it says when that fails, on one line.

    It raises nothing when there is no network, so the caller looks for the files whatever it says.
    """
    from nltk.downloader import Downloader

    told = io.StringIO()
    Downloader(server_index_url=index_url).download("wordnet", quiet=True, print_error_to=told)
    return " ".join(told.getvalue().replace("[nltk_data]", "").split())
