"""A project: a folder with settings, a store, image bytes and secrets."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .config import SETTINGS_NAME, Settings, load_settings
from .errors import ProjectError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from wordnet_synsets.graph import Graph

    from .images import ImageStore

SECRET_NAME = "secret.key"
KEYS_NAME = "marketplace-keys.toml"


@dataclass(frozen=True)
class Project:
    """An opened project; the engine, graph and image store are made when first asked for."""

    folder: Path
    settings: Settings

    def store_url(self, setting: str) -> str:
        """Return the database URL `setting`, with a relative SQLite path taken from the project folder."""
        prefix = "sqlite:///"
        if setting.startswith(prefix) and not setting.startswith(prefix + "/"):
            return f"{prefix}{self.folder / setting.removeprefix(prefix)}"
        return setting

    @cached_property
    def engine(self) -> sa.Engine:
        """The builder's store, at the right schema. Raises DatabaseError or SchemaMismatch."""
        from .store.engine import open_store

        return open_store(self.store_url(self.settings.store.url))

    @cached_property
    def images(self) -> ImageStore:
        """The image store. Raises ImageStoreError if it cannot be opened."""
        from .images import open_image_store

        return open_image_store(self.settings.images.url, relative_to=self.folder)

    @cached_property
    def graph(self) -> Graph:
        """WordNet 3.0's nouns. Raises WordNetNotFound or WrongWordNet."""
        from wordnet_synsets.graph import open_graph

        setting = self.settings.wordnet.folder
        return open_graph(self.folder / setting if setting else None)

    @cached_property
    def secret(self) -> bytes:
        """The project's own key (32 bytes), made at first use, in a file that only its owner reads."""
        path = self.folder / SECRET_NAME
        if not path.exists():
            _create_secret(path)
        try:
            key = bytes.fromhex(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            raise ProjectError(f"cannot read this project's key {path}: {error}") from error
        if len(key) != 32:
            raise ProjectError(f"{path} does not hold this project's key: restore it from a backup")
        return key


def _create_secret(path: Path) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        # A link appears whole and never replaces the key that a rival process has just made.
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
        beside.unlink()
    except OSError as error:
        raise ProjectError(f"cannot write {path}: {error.strerror}") from error


def find_project(start: Path) -> Project:
    """Open the project that `start` lies in: the nearest folder upward with an `imagenet-builder.toml`.

    Raises ProjectError if there is none or its settings are wrong.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / SETTINGS_NAME).is_file():
            return Project(folder, load_settings(folder / SETTINGS_NAME))
    raise ProjectError(
        f"no {SETTINGS_NAME} in {start} or above it; make a project with `imagenet-builder init`"
    )
