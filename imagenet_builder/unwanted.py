"""Pictures that a crawl does not store: those like the ones the user excludes, and those that were taken down."""

from __future__ import annotations

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

    def refuse(self, image: Inspected) -> Rejected | None:
        """Why `image` is not stored; None if it may be."""
        if refusal := self.taken_down.refuse(image):
            return refusal
        like = self.exclusion.match(image) if self.exclusion is not None else None
        return None if like is None else Rejected(Reason.EXCLUDED, f"like {like}")
