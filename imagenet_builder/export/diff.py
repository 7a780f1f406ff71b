"""What changed from one release to another, told from the releases alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from imagenet_builder.errors import ReleaseError
from imagenet_builder.records import Split

from .documents import MANIFEST_NAME
from .provenance import IMAGES_NAME, SEALED_COLUMNS
from .verify import one_line, read_manifest

# Columns of images.parquet that say what a picture is and where it stands; the others say where it came from.
PLACE = ("file", "split", "wnid", "label", "ilsvrc_id", "sha256", "width", "height", "bytes", "image_sha256")
# What is read of a release.
FILES = (MANIFEST_NAME, IMAGES_NAME)
ORIGIN = tuple(name for name in SEALED_COLUMNS if name not in PLACE)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a release tells of itself: its manifest, the rows of images.parquet by image, as text, and the SHA-256 of
    the files of its hidden splits."""

    manifest: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, str]]
    test: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClassChange:
    """A class that is in both releases with other numbers of pictures: split → before and after."""

    wnid: str
    name: str
    pictures: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Moved:
    """A picture that has another split or class; `image` is the SHA-256 of the original."""

    image: str
    old: tuple[str, str]
    new: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Corrected:
    """A picture of which something else is told now: column of images.parquet → before and after."""

    image: str
    columns: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs; pictures of train and val by the SHA-256 of the original, in its order.

    `settings` maps a setting to before and after; classes are (wnid, name). `encoded_anew` are pictures with other
    bytes in the release, `renamed` counts those with another file name alone. Of test and its replicate only numbers
    are told: `test_added`, `test_removed`, and `test_labelled_before`, files of the new test that stand with their
    label in the old train or val.
    """

    settings: Mapping[str, tuple[Any, Any]]
    classes_added: tuple[tuple[str, str], ...]
    classes_removed: tuple[tuple[str, str], ...]
    classes_changed: tuple[ClassChange, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    moved: tuple[Moved, ...]
    encoded_anew: tuple[str, ...]
    corrected: tuple[Corrected, ...]
    renamed: int
    test_added: int
    test_removed: int
    test_labelled_before: int

    @property
    def empty(self) -> bool:
        """True when the releases have the same settings, classes, pictures and sources."""
        return not any(getattr(self, name) for name in self.__slots__)


def read_listing(folder: Path) -> Listing:
    """Read what the release in `folder` tells of itself. Raises ReleaseError when it is none, or is damaged."""
    manifest = read_manifest(folder)
    try:
        pictures = pq.read_table(folder / IMAGES_NAME).to_pylist()
        hidden = frozenset(row["sha256"] for row in pictures if Split(row["split"]).hidden)
        rows = {row["image_sha256"]: _as_text(row) for row in pictures if row["sha256"] not in hidden}
    except OSError as error:
        raise ReleaseError(f"cannot read the release {folder}: {one_line(error)}") from error
    except (KeyError, ValueError) as error:
        raise ReleaseError(
            f"{folder / IMAGES_NAME} is not the list of a release's pictures: {one_line(error)}"
        ) from error
    return Listing(manifest, rows, hidden)


def _as_text(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in row.items()}


def difference(old: Listing, new: Listing) -> Difference:
    """Compare two releases. Pure."""
    before, after = _classes(old), _classes(new)
    both = sorted(old.rows.keys() & new.rows.keys())
    pairs = [(image, old.rows[image], new.rows[image]) for image in both]
    places = [(image, (was["split"], was["wnid"]), (now["split"], now["wnid"])) for image, was, now in pairs]
    labelled = frozenset(row["sha256"] for row in old.rows.values())
    return Difference(
        settings=dict(_changes(old.manifest["settings"], new.manifest["settings"])),
        classes_added=_named(after, after.keys() - before.keys()),
        classes_removed=_named(before, before.keys() - after.keys()),
        classes_changed=tuple(_class_changes(before, after)),
        added=tuple(sorted(new.rows.keys() - old.rows.keys())),
        removed=tuple(sorted(old.rows.keys() - new.rows.keys())),
        moved=tuple(Moved(image, was, now) for image, was, now in places if was != now),
        encoded_anew=tuple(image for image, was, now in pairs if was["sha256"] != now["sha256"]),
        corrected=tuple(_corrections(pairs)),
        renamed=_renamed(pairs),
        test_added=len(new.test - old.test),
        test_removed=len(old.test - new.test),
        test_labelled_before=len(new.test & labelled),
    )


Pairs = list[tuple[str, Mapping[str, str], Mapping[str, str]]]


def _classes(listing: Listing) -> dict[str, Mapping[str, Any]]:
    return {one["wnid"]: one for one in listing.manifest["classes"]}


def _named(classes: Mapping[str, Mapping[str, Any]], wnids: set[str]) -> tuple[tuple[str, str], ...]:
    return tuple((wnid, classes[wnid]["name"]) for wnid in sorted(wnids))


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, (old.get(name), new.get(name))


def _class_changes(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> Iterator[ClassChange]:
    for wnid in sorted(before.keys() & after.keys()):
        was, now = before[wnid], after[wnid]
        changed = {str(split): (was[split], now[split]) for split in Split if was[split] != now[split]}
        if changed:
            yield ClassChange(wnid, now["name"], changed)


def _corrections(pairs: Pairs) -> Iterator[Corrected]:
    for image, was, now in pairs:
        columns = {
            name: (was.get(name, ""), now.get(name, ""))
            for name in ORIGIN
            if was.get(name, "") != now.get(name, "")
        }
        if columns:
            yield Corrected(image, columns)


def _renamed(pairs: Pairs) -> int:
    """Pictures that only have another file name: val is numbered anew in every release."""
    count = Counter(
        (was["split"], was["wnid"]) == (now["split"], now["wnid"]) and was["file"] != now["file"]
        for _, was, now in pairs
    )
    return count[True]
