"""Projects for tests: a folder with settings and a migrated store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from numpy.typing import NDArray

from hits import database
from imagenet_builder.config import SETTINGS_NAME, load_settings
from imagenet_builder.project import Project
from imagenet_builder.store import tables
from imagenet_builder.store.engine import MIGRATIONS

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def empty_project(folder: Path, **sections: dict[str, object]) -> Project:
    """A project in `folder` with a migrated store; `sections` are settings, e.g. `crawl={"per_category": 5}`."""
    folder.mkdir(parents=True, exist_ok=True)
    sections.setdefault("project", {})
    sections["project"] = {"contact": "tests@example.org", **sections["project"]}
    lines: list[str] = []
    for section, settings in sections.items():
        lines.append(f"[{section}]")
        lines.extend(f"{name} = {_toml(value)}" for name, value in settings.items())
    (folder / SETTINGS_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
    project = Project(folder, load_settings(folder / SETTINGS_NAME, {}))
    database.upgrade(database.open_engine(project.store_url(project.settings.store.url)), MIGRATIONS)
    return project


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(element) for element in value) + "]"
    if isinstance(value, int | float):
        return repr(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def add_categories(project: Project, *wnids: str, first: int = 0) -> None:
    """Select `wnids` with made-up names, numbered from `first`: for tests that need no WordNet."""
    with database.writing(project.engine) as connection:
        connection.execute(
            tables.categories.insert(),
            [
                {
                    "wnid": wnid,
                    "sense_key": f"thing{position}%1:06:00::",
                    "name": f"thing{position}.n.01",
                    "lemmas": [f"thing{position}"],
                    "gloss": f"thing number {position}",
                    "position": position,
                    "selected_at": NOW,
                }
                for position, wnid in enumerate(wnids, start=first)
            ],
        )


def insert_columns(connection: sa.Connection, table: sa.Table, columns: Sequence[NDArray[Any]]) -> None:
    """Append arrays to a table, one array a column, in the table's order."""
    rows = zip(*(column.tolist() for column in columns), strict=True)
    names = table.c.keys()
    connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])
