"""A folder of the user's own pictures: one subfolder a category, named by its wnid, name or word."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from imagenet_builder.config import Settings
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Query, Rights, SearchPage

from .licences import UNKNOWN, is_taken, licence_of_setting

if TYPE_CHECKING:
    import aiohttp

    from wordnet_synsets.graph import Graph

NAME = "folder"
PAGE_SIZE = 200


class Folder:
    """The `folder` source. A query's words are the name of a subfolder; its pictures come in order of name."""

    name = NAME

    def __init__(self, folder: Path, rights: Rights | None = None, *, page_size: int = PAGE_SIZE) -> None:
        self._folder = folder.resolve()
        self._rights = rights or Rights()
        self._page_size = page_size

    def queries(self, category: Category, graph: Callable[[], Graph]) -> tuple[Query, ...]:
        """The subfolders that bear the category's wnid, name or one of its words; none needs WordNet.

        Raises SourceError if the folder cannot be read.
        """
        names = _names(category)
        found = [name for name in self._subfolders() if _plain(name) in names]
        return tuple(Query(wnid=category.wnid, source=self.name, words=name) for name in found)

    def unmatched(self, categories: Iterable[Category]) -> tuple[str, ...]:
        """The subfolders that are named after none of `categories`. Raises SourceError as `queries` does."""
        names = {name for category in categories for name in _names(category)}
        return tuple(name for name in self._subfolders() if _plain(name) not in names)

    def _subfolders(self) -> list[str]:
        try:
            found = sorted(path.name for path in self._folder.iterdir() if path.is_dir())
        except OSError as error:
            raise SourceError(f"cannot read the picture folder {self._folder}: {error.strerror}") from error
        return [name for name in found if not name.startswith(".")]

    async def search(self, query: Query, session: aiohttp.ClientSession) -> SearchPage:
        """The next files of the subfolder, after the one that the continuation names."""
        after = json.loads(query.continuation) if query.continuation else ""
        subfolder = self._folder / query.words
        try:
            names = sorted(
                path.relative_to(subfolder).as_posix()
                for path in subfolder.rglob("*")
                if path.is_file() and not path.name.startswith(".")
            )
        except OSError as error:
            raise SourceError(f"cannot read the picture folder {subfolder}: {error.strerror}") from error
        left = [(rank, name) for rank, name in enumerate(names, start=1) if name > after]
        page = left[: self._page_size]
        candidates = tuple(
            Candidate(
                wnid=query.wnid,
                url=(subfolder / name).as_uri(),
                source=self.name,
                rank=rank,
                title=name,
                rights=self._rights,
            )
            for rank, name in page
        )
        return SearchPage(candidates, json.dumps(page[-1][1]) if len(left) > len(page) else None)

    def file(self, url: str) -> Path | None:
        """The file behind `url` if it lies in this folder, links followed; else None."""
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc:
            return None
        path = Path(os.fsdecode(unquote_to_bytes(parts.path))).resolve()
        return path if path.is_relative_to(self._folder) else None


def build(settings: Settings, folder: Path) -> Folder:
    """The `folder` source of a project, its path taken from the project folder; raises ProjectError."""
    if not settings.folder.path:
        raise ProjectError("the folder source needs `path` under [folder] in imagenet-builder.toml")
    pictures = folder / settings.folder.path
    if not pictures.is_dir():
        raise ProjectError(f"there is no folder {pictures}: correct `path` under [folder]")
    rights = licence_of_setting(NAME, settings.folder.licence)
    if not is_taken(rights, settings.crawl.licences):
        raise ProjectError(
            f"the pictures of {pictures} are under {rights.licence or 'no licence that is told'}: set `licence` under "
            f"[folder] to one that is taken, or take them with --licence {rights.licence or UNKNOWN}"
        )
    return Folder(pictures, dataclasses.replace(rights, author=settings.folder.author or None))


def _names(category: Category) -> set[str]:
    return {_plain(name) for name in (category.wnid, category.name, *category.lemmas)}


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()
