"""What a release is asked to be, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagenet_builder.errors import ReleaseError, ShortOfRequest

from .choose import LeftOut, Sizes

DEFAULT_FORMATS = ("ilsvrc",)
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export: the best `classes` categories, or exactly those of `class_list`.

    `class_list` is the name of a packaged list (`ilsvrc2012`) or a file with one synset a line. `licences` empty
    admits every licence; `resize` reduces the shorter side of pictures to so many pixels; `divide_authors` lets one
    author's or page's pictures stand on several sides. Raises ReleaseError for numbers that no release can have.
    """

    sizes: Sizes
    classes: int | None = None
    class_list: str | None = None
    licences: tuple[str, ...] = ()
    resize: int | None = None
    seed: int = 0
    allow_fewer: bool = False
    divide_authors: bool = False
    formats: tuple[str, ...] = DEFAULT_FORMATS

    def __post_init__(self) -> None:
        sizes = self.sizes
        if min(sizes.val, sizes.test, sizes.replicate, sizes.min_train) < 0 or sizes.max_train < max(
            1, sizes.min_train
        ):
            raise ReleaseError(
                f"no class can have {sizes.val} val, {sizes.test} test, {sizes.replicate} replicate and "
                f"{sizes.min_train} to {sizes.max_train} train pictures: give numbers from 0 up, "
                "and max-train no less than min-train"
            )
        if self.classes is None and self.class_list is None:
            raise ReleaseError(
                "say how many classes to export (--classes N) or which (--list ilsvrc2012 or a file)"
            )
        if self.classes is not None and self.classes < 1:
            raise ReleaseError(f"{self.classes} classes make no release")
        if self.resize is not None and self.resize < 1:
            raise ReleaseError(f"pictures cannot be resized to {self.resize} pixels")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ReleaseError(
                f"the seed {self.seed} is out of range: give a number from 0 to {LARGEST_SEED}"
            )


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A category that does not qualify: its distinct usable pictures, those that a class needs, and its accepted
    verdicts that more votes may still change."""

    wnid: str
    name: str
    pictures: int
    needed: int
    provisional: int

    @property
    def missing(self) -> int:
        """How many more pictures would make it a class."""
        return self.needed - self.pictures


@dataclass(frozen=True, slots=True)
class Counts:
    """Pictures of a release by split, and pictures that stayed out of it, by reason (see `Division`);
    `divided_authors` counts authors or pages on several sides, 0 when that was allowed; `provisional` accepted
    verdicts in the whole project that more votes may still change."""

    train: int
    val: int
    test: int
    multi_label: int
    near_duplicates: int
    surplus: int
    held_back: int
    divided_authors: int
    provisional: int
    replicate: int = 0

    @property
    def accepted(self) -> int:
        """All accepted pictures of the release's classes, each once, in it or left out."""
        inside = self.train + self.val + self.test + self.replicate
        return inside + self.multi_label + self.near_duplicates + self.surplus + self.held_back


@dataclass(frozen=True, slots=True)
class ExportReport:
    """A release that was written to `place`, a folder or a bucket; `digest` is the SHA-256 of its SHA256SUMS.

    `reused` counts files that an earlier, unfinished run had finished. `test_keys` are the files in the project, not in
    the release, with the keys of its hidden splits: what opens `test.sealed`.
    """

    place: str
    digest: str
    wnids: tuple[str, ...]
    wanted: int
    counts: Counts
    left_out: tuple[LeftOut, ...]
    shortfalls: tuple[Shortfall, ...]
    test_keys: tuple[Path, ...]
    reused: int = 0

    @property
    def folder(self) -> Path:
        """The place, of a release that was written to a folder."""
        return Path(self.place)

    @property
    def short(self) -> bool:
        """True when the release has fewer classes than were asked for."""
        return len(self.wnids) < self.wanted


class TooFewClasses(ShortOfRequest):
    """Fewer categories qualify than were asked for, and nothing was written; `shortfalls` says what is missing."""

    def __init__(self, text: str, shortfalls: tuple[Shortfall, ...]) -> None:
        super().__init__(text)
        self.shortfalls = shortfalls
