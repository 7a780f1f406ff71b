"""Making a project: a commented settings file, a migrated store, a folder for images."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from hits import database

from .config import SETTINGS_NAME, load_settings
from .errors import ProjectError
from .project import Project
from .store.engine import MIGRATIONS

GITIGNORE = (
    "secret.key\nmarketplace-keys.toml\n*.sqlite3*\nimages/\nreleases/\nruns/\ntest-keys/\n.exclusions/\n.exports/\n"
    ".duplicates/\n"
)


def initialise(folder: Path, settings_text: str | None = None) -> Project:
    """Make `folder` a project and return it; `settings_text` is the settings file, else a commented one.

    Raises ProjectError if there is a project already or the folder cannot be written; nothing that
    exists is overwritten.
    """
    path = folder / SETTINGS_NAME
    if path.exists():
        raise ProjectError(f"{folder} is a project already: {path} exists")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Written last under its name: a folder with settings but no store would look like a project.
        beside = folder / f".{SETTINGS_NAME}.{os.getpid()}"
        beside.write_text(settings_text or _commented_settings(), encoding="utf-8")
        try:
            project = Project(folder.resolve(), load_settings(beside))
            (folder / "images").mkdir(exist_ok=True)
            if not (folder / ".gitignore").exists():
                (folder / ".gitignore").write_text(GITIGNORE, encoding="utf-8")
            store = database.open_engine(project.store_url(project.settings.store.url))
            database.upgrade(store, MIGRATIONS)
            store.dispose()
            beside.rename(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ProjectError(f"cannot make a project in {folder}: {error.strerror or error}") from error
    return project


def _commented_settings() -> str:
    return files("imagenet_builder.templates").joinpath(SETTINGS_NAME).read_text(encoding="utf-8")
