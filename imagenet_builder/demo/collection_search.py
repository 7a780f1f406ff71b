"""Search over the collection, as CirrusSearch does it in small: words, phrases, exclusions, `filetype:`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from imagenet_builder.demo.collection import Collection, PictureFile

_TERM = re.compile(r'(?P<minus>[-!]?)(?:(?P<key>[a-z]+):)?(?:"(?P<phrase>[^"]*)"|(?P<word>\S+))')


@dataclass(frozen=True, slots=True)
class SearchTerms:
    """What a search string asks for: phrases of stems to find, phrases to avoid, kinds of file, title words."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    in_title: tuple[str, ...]
    file_types: tuple[str, ...]


def stems(text: str) -> str:
    """Lower-case words without plural endings, one space between and around them."""
    words = re.findall(r"\w+", text.lower())
    return f" {' '.join(re.sub(r'(?<=[^s]{3})s$', '', word) for word in words)} "


def parse_search(text: str) -> SearchTerms:
    """Read a search string; keywords other than `filetype:` and `intitle:` are understood and ignored."""
    wanted: list[str] = []
    unwanted: list[str] = []
    in_title: list[str] = []
    file_types: list[str] = []
    for term in _TERM.finditer(text):
        value = term["phrase"] if term["phrase"] is not None else term["word"]
        if term["key"] == "filetype":
            file_types.append(value.lower())
        elif term["key"] == "intitle":
            in_title.append(stems(value))
        elif term["key"] is None and stems(value).strip():
            (unwanted if term["minus"] else wanted).append(stems(value))
    return SearchTerms(tuple(wanted), tuple(unwanted), tuple(in_title), tuple(file_types))


class SearchIndex:
    """Ranks the files of a collection for a search string; the same string gives the same order."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    @cached_property
    def _texts(self) -> Sequence[tuple[PictureFile, str, str]]:
        return [
            (
                file,
                stems(file.name),
                "|".join(stems(text) for text in (file.name, file.description, *file.categories)),
            )
            for file in self._collection.files
        ]

    def find(self, text: str, titles_only: bool = False) -> list[PictureFile]:
        """All files that hold every wanted phrase, best first."""
        terms = parse_search(text)
        if not terms.wanted and not terms.in_title:
            return []
        scored: list[tuple[float, int, PictureFile]] = []
        for file, title, everything in self._texts:
            searched = title if titles_only else everything
            if not all(phrase in searched for phrase in terms.wanted):
                continue
            if not all(phrase in title for phrase in terms.in_title):
                continue
            if any(phrase in everything for phrase in terms.unwanted) or not _is_of_type(file, terms):
                continue
            in_title = sum(phrase in title for phrase in terms.wanted) / max(1, len(terms.wanted))
            scored.append((-0.25 * in_title - _chance(terms, file), file.page_id, file))
        return [file for _, _, file in sorted(scored, key=lambda entry: entry[:2])]


def _is_of_type(file: PictureFile, terms: SearchTerms) -> bool:
    kind = "drawing" if file.mime == "image/svg+xml" else "bitmap"
    return all(wanted in (kind, "image", file.mime.split("/")[1]) for wanted in terms.file_types)


def _chance(terms: SearchTerms, file: PictureFile) -> float:
    """A number in 0..1 that mixes right and wrong files, as relevance on the web does."""
    asked = "|".join(terms.wanted + terms.in_title)
    return int.from_bytes(hashlib.sha256(f"{asked}|{file.page_id}".encode()).digest()[:4]) / 2**32
