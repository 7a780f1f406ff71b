"""Pictures that a crawl does not store: those like the ones the user excludes, and those that were taken down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .records import Inspected, Reason, Rejected
from .taken_down import TakenDown

if TYPE_CHECKING:
    from .exclusion import Exclusion


@dataclass(frozen=True)
class Unwanted:
    """What inspected pictures are compared with before they are stored; `exclusion` is None where there is none."""

    exclusion: Exclusion | None = None
    taken_down: TakenDown = field(default_factory=TakenDown)

    @property
    def compares(self) -> bool:
        """Whether pictures are compared with others, which is cheaper for many together."""
        return self.exclusion is not None or self.taken_down.pictures is not None

    def refuse(self, images: Sequence[Inspected]) -> list[Rejected | None]:
        """For each of `images` why it is not stored; None if it may be."""
        refusals = self.taken_down.refuse(images)
        if self.exclusion is None:
            return refusals
        return [
            refusal or (None if like is None else Rejected(Reason.EXCLUDED, f"like {like}"))
            for refusal, like in zip(refusals, self.exclusion.matches(images), strict=True)
        ]
