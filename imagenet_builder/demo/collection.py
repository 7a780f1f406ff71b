"""The picture site's collection: which files there are, what is written about them, and what is drawn on them.

The collection follows from a seed. Of what a search for a class finds, about half is wrong: other classes,
clutter, scenes with two classes, copies, damage, files that are gone. The truth stays out of the site's API.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from random import Random
from urllib.parse import quote

from imagenet_builder.demo.collection_words import (
    Licence,
    any_artist,
    any_licence,
    any_setting,
    any_title,
    plural,
)
from imagenet_builder.demo.drawing_classes import CLASSES, DrawnClass
from imagenet_builder.demo.picture_files import ENDINGS, Copy, Form, Scene
from imagenet_builder.errors import ProjectError

SIZES = (
    (320, 240),
    (240, 320),
    (400, 300),
    (300, 400),
    (256, 256),
    (360, 270),
    (384, 256),
    (256, 384),
    (352, 288),
)


class Delivery(StrEnum):
    """How the site sends a file."""

    PROMPT = "prompt"
    SLOW = "slow"
    BUSY_ONCE = "busy-once"
    GONE = "gone"
    HTML = "html"


# What befalls some of the right pictures (they remain usable) and some of the wrong results (they do not).
USABLE_ODDITIES: tuple[tuple[Copy, Delivery], ...] = (
    (Copy(Form.TURNED_JPEG), Delivery.PROMPT),
    (Copy(), Delivery.SLOW),
    (Copy(Form.PALETTE_PNG), Delivery.PROMPT),
    (Copy(scale=3.0), Delivery.PROMPT),
    (Copy(), Delivery.BUSY_ONCE),
    (Copy(Form.CMYK_JPEG), Delivery.PROMPT),
    (Copy(Form.PNG), Delivery.PROMPT),
    (Copy(Form.GIF), Delivery.PROMPT),
    (Copy(scale=3.0, quality=70), Delivery.PROMPT),
    (Copy(Form.ANIMATED_GIF), Delivery.PROMPT),
)
FAULTS: tuple[tuple[Copy, Delivery], ...] = (
    (Copy(Form.TRUNCATED_JPEG), Delivery.PROMPT),
    (Copy(), Delivery.GONE),
    (Copy(scale=0.15), Delivery.PROMPT),
    (Copy(), Delivery.HTML),
    (Copy(Form.DAMAGED_JPEG), Delivery.PROMPT),
    (Copy(Form.SVG), Delivery.PROMPT),
)
COPIES: tuple[Copy | None, ...] = (None, Copy(quality=55), Copy(quality=80, scale=0.8), None, Copy(Form.PNG))


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A file of the collection: what is drawn, how it is written and sent, and what its page says."""

    page_id: int
    name: str
    scene: Scene
    copy: Copy
    delivery: Delivery
    licence: Licence
    artist: str
    description: str
    categories: tuple[str, ...]
    uploaded: datetime
    copy_of: str | None = None

    @property
    def title(self) -> str:
        """The page's title."""
        return f"File:{self.name}"

    @property
    def mime(self) -> str:
        return ENDINGS[self.copy.form][1]

    @property
    def underscored(self) -> str:
        """The name as it stands in URLs, before percent-encoding."""
        return self.name.replace(" ", "_")

    @property
    def folder(self) -> str:
        """MediaWiki's two levels of hashed folders, for example `a/ab`."""
        digest = hashlib.md5(self.underscored.encode(), usedforsecurity=False).hexdigest()
        return f"{digest[0]}/{digest[:2]}"

    @property
    def original_path(self) -> str:
        """The percent-encoded path of the original on the site."""
        return f"/images/{self.folder}/{quote(self.underscored)}"

    @property
    def page_path(self) -> str:
        """The percent-encoded path of the description page on the site."""
        return f"/wiki/File:{quote(self.underscored, safe=',()')}"

    def thumbnail_path(self, width: int) -> str:
        """The percent-encoded path of the thumbnail of a width."""
        name = quote(self.underscored)
        return f"/thumb/{self.folder}/{name}/{width}px-{name}{'.png' if self.copy.form is Form.SVG else ''}"


@dataclass(frozen=True)
class Collection:
    """All files, in the order of their page ids."""

    files: tuple[PictureFile, ...]

    @cached_property
    def by_title(self) -> Mapping[str, PictureFile]:
        return {file.title: file for file in self.files}

    @cached_property
    def by_page_id(self) -> Mapping[int, PictureFile]:
        return {file.page_id: file for file in self.files}

    def truth_lines(self, base_url: str) -> Iterator[str]:
        """One JSON object a file: url, title, wnids drawn on it, and how it is written, sent and copied."""
        for file in self.files:
            yield json.dumps(
                {
                    "url": base_url + file.original_path,
                    "title": file.title,
                    "wnids": list(file.scene.wnids),
                    "form": file.copy.form.value,
                    "delivery": file.delivery.value,
                    "copy_of": file.copy_of,
                },
                ensure_ascii=False,
            )

    def write_truth(self, path: Path, base_url: str) -> None:
        """Write truth_lines to a file, whole or not at all; raises ProjectError when it cannot be written."""
        partial = path.with_name(path.name + ".partial")
        try:
            partial.write_text("".join(f"{line}\n" for line in self.truth_lines(base_url)), encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise ProjectError(
                f"cannot write the truth of the picture site to {path}: {error.strerror}"
            ) from error


def build_collection(seed: int, wnids: Sequence[str], per_class: int) -> Collection:
    """The collection of a seed: for each class `per_class` right files and as many wrong ones.

    Raises ProjectError for a class that cannot be drawn, or for less than one class or two files a class.
    """
    chosen = tuple(dict.fromkeys(wnids))
    unknown = [wnid for wnid in chosen if wnid not in CLASSES]
    if unknown:
        raise ProjectError(f"no drawing for {', '.join(unknown)}: choose from {', '.join(CLASSES)}")
    if per_class < 2 or not chosen:
        raise ProjectError("the picture site needs at least one class and two files a class")
    total = 2 * per_class * len(chosen)
    numbers = iter(Random(f"{seed} numbers").sample(range(1000, 1000 + 4 * total), total))
    files: list[PictureFile] = []
    for place, wnid in enumerate(chosen):
        others = tuple(CLASSES[other] for other in CLASSES if other != wnid)
        files += _Results(seed, CLASSES[wnid], others, numbers).files(place, per_class)
    return Collection(tuple(sorted(files, key=lambda file: file.page_id)))


class _Results:
    """Makes the files that a search for one class will find."""

    def __init__(
        self, seed: int, drawn: DrawnClass, others: Sequence[DrawnClass], numbers: Iterator[int]
    ) -> None:
        self._seed = seed
        self._drawn = drawn
        self._others = others
        self._numbers = numbers
        self._rng = Random(f"{seed} {drawn.wnid}")

    def files(self, place: int, per_class: int) -> list[PictureFile]:
        """`per_class` right files and as many wrong ones; `place` turns the lists of oddities, so that every
        oddity is met even in a small collection."""
        odd, faulty, copied = round(per_class * 0.18), round(per_class * 0.16), round(per_class * 0.1)
        right = [
            self._right(*USABLE_ODDITIES[(place * odd + turn) % len(USABLE_ODDITIES)]) for turn in range(odd)
        ]
        right += [self._right(self._any_copy(), Delivery.PROMPT) for _ in range(per_class - odd)]
        wrong = [self._right(*FAULTS[(place * faulty + turn) % len(FAULTS)]) for turn in range(faulty)]
        wrong += [
            self._copy_of(right[odd + turn], COPIES[(place + turn) % len(COPIES)]) for turn in range(copied)
        ]
        wrong += [self._wrong() for _ in range(per_class - len(wrong))]
        return right + wrong

    def _any_copy(self) -> Copy:
        return Copy(quality=self._rng.randint(60, 95))

    def _right(self, copy: Copy, delivery: Delivery) -> PictureFile:
        """The class alone, or (one in ten) beside another."""
        if self._rng.random() < 0.1:
            return self._file((self._drawn, self._rng.choice(self._others)), copy, delivery, right=True)
        return self._file((self._drawn,), copy, delivery, right=True)

    def _wrong(self) -> PictureFile:
        """Found by the class's words, but showing another class, two others, or none."""
        kind = self._rng.random()
        shown: tuple[DrawnClass, ...] = ()
        if kind < 0.55:
            shown = (self._rng.choice(self._others),)
        elif kind < 0.7:
            shown = tuple(self._rng.sample(self._others, 2))
        return self._file(shown, self._any_copy(), Delivery.PROMPT, right=False)

    def _file(
        self, shown: Sequence[DrawnClass], copy: Copy, delivery: Delivery, *, right: bool
    ) -> PictureFile:
        rng, number = self._rng, next(self._numbers)
        subject = rng.choice(self._drawn.lemmas)
        also = [other.name for other in shown if other is not self._drawn and rng.random() < 0.3]
        scene = Scene(f"{self._seed} {number}", tuple(one.wnid for one in shown), rng.choice(SIZES))
        return PictureFile(
            page_id=70_000 + number,
            name=f"{any_title(rng, subject, right)} {number}{ENDINGS[copy.form][0]}",
            scene=scene,
            copy=copy,
            delivery=delivery,
            licence=any_licence(rng),
            artist=any_artist(rng),
            description=self._description(subject, also, right),
            categories=self._categories(right),
            uploaded=datetime(2012, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(400_000_000)),
        )

    def _description(self, subject: str, also: Sequence[str], right: bool) -> str:
        rng = self._rng
        words = dict.fromkeys([self._drawn.name, subject, *also])
        text = f"{' and '.join(words)}, {any_setting(rng)}."
        if right and rng.random() < 0.5:
            text += f" A kind of {rng.choice(self._drawn.parents)}."
        if rng.random() < (0.5 if right else 0.25):
            text += f" {rng.choice(self._drawn.translations)}."
        return text[0].upper() + text[1:]

    def _categories(self, right: bool) -> tuple[str, ...]:
        own = plural(self._drawn.name)
        found = [own[0].upper() + own[1:]] if right or self._rng.random() < 0.4 else []
        return (*found, "Files of the picture site", "Self-published work")

    def _copy_of(self, source: PictureFile, written: Copy | None) -> PictureFile:
        """The same picture under another name: the very bytes for None, else written anew."""
        again = self._file((), written or source.copy, Delivery.PROMPT, right=True)
        return replace(again, scene=source.scene, copy_of=source.title)
