"""Lemmas in other languages: the Open Multilingual WordNet, where NLTK has it.

NLTK's package `omw-1.4` (https://omwn.org/omw1.html) has a file a language, `…/wn-data-spa.tab`, with a line
`02084071-n<tab>spa:lemma<tab>perro` for each lemma of a synset of WordNet 3.0. It is read where NLTK's downloader
puts it, as a folder or as an archive.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from .errors import WordNetError, WrongWordNet
from .locate import default_places

# BCP 47 tags, and the codes (ISO 639-3) of the package's files.
LANGUAGES = {
    "ar": "arb", "bg": "bul", "ca": "cat", "da": "dan", "el": "ell", "es": "spa", "eu": "eus", "fi": "fin",
    "fr": "fra", "gl": "glg", "he": "heb", "hr": "hrv", "id": "ind", "is": "isl", "it": "ita", "ja": "jpn",
    "lt": "lit", "ms": "zsm", "nb": "nob", "nl": "nld", "nn": "nno", "pl": "pol", "pt": "por", "ro": "ron",
    "sk": "slk", "sl": "slv", "sq": "als", "sv": "swe", "th": "tha", "zh": "cmn",
}  # fmt: skip
PACKAGES = ("omw-1.4", "omw")
_FILE = re.compile(r"(?:.*/)?wn-data-(?P<code>[a-z]{3})\.tab")
_LEMMA = re.compile(r"(?P<offset>\d{8})-n\t(?:(?P<code>[a-z]{3}):)?lemma\t(?P<lemma>[^\t]+)")


class Translations:
    """The noun lemmas of `languages` (BCP 47 tags), read when first asked for; none where NLTK has no such package.

    Raises WordNetError for a language that the package does not have.
    """

    def __init__(self, languages: Sequence[str], *, places: Sequence[Path] | None = None) -> None:
        for language in languages:
            if language not in LANGUAGES:
                raise WordNetError(
                    f"{language!r} is no language of the Open Multilingual WordNet; known are {', '.join(LANGUAGES)}"
                )
        self._languages = tuple(dict.fromkeys(languages))
        self._places = places

    @property
    def package(self) -> Path | None:
        """The folder or archive of the Open Multilingual WordNet; None where there is none."""
        for place in default_places() if self._places is None else self._places:
            for name in PACKAGES:
                for path in (place / "corpora" / name, place / "corpora" / f"{name}.zip"):
                    if os.path.exists(path):  # noqa: PTH110 - Path's raises for folders that may not be entered
                        return path
        return None

    def of(self, wnid: str) -> Mapping[str, Sequence[str]]:
        """The lemmas of a synset by language, in the order of the languages; raises WrongWordNet for damaged files."""
        return {
            language: lemmas
            for language, of_wnid in self._lemmas.items()
            if (lemmas := tuple(of_wnid.get(wnid, ())))
        }

    @cached_property
    def _lemmas(self) -> Mapping[str, Mapping[str, Sequence[str]]]:
        package = self.package if self._languages else None
        codes = {LANGUAGES[language]: language for language in self._languages}
        found: dict[str, dict[str, list[str]]] = {language: {} for language in self._languages}
        for code, text in _files(package, codes) if package else ():
            lemmas = found[codes[code]]
            for line in text.splitlines():
                match = _LEMMA.fullmatch(line.rstrip())
                if match and match["code"] in (None, code):
                    # The Chinese files part what belongs to a word's stem from the rest with a plus.
                    lemma = match["lemma"].replace("+", "") if code == "cmn" else match["lemma"]
                    lemmas.setdefault(f"n{match['offset']}", []).append(lemma.strip())
        return found


def _files(package: Path, codes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The files of the languages `codes` in `package`, each with its language's code, by name."""
    from zipfile import BadZipFile, ZipFile

    try:
        if package.is_dir():
            for path in sorted(package.rglob("wn-data-*.tab")):
                match = _FILE.fullmatch(path.as_posix())
                if match and match["code"] in codes:
                    yield match["code"], path.read_text(encoding="utf-8")
            return
        with ZipFile(package) as archive:
            for name in sorted(archive.namelist()):
                match = _FILE.fullmatch(name)
                if match and match["code"] in codes:
                    yield match["code"], archive.read(name).decode("utf-8")
    except (OSError, BadZipFile, UnicodeDecodeError) as error:
        raise WrongWordNet(f"cannot read the Open Multilingual WordNet in {package}: {error}") from error
