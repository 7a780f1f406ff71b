"""Looks for pictures of a release that stand, or nearly stand, in two splits."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from imagenet_builder.descriptor_file import DescriptorFile
from imagenet_builder.duplicates import CROWD, clustering, clusters
from imagenet_builder.records import Inspected, Rejected, Split

from .published import Shown

MOST_THREADS = 8
# Splits were decided on the hashes of the original files. A picture that was encoded anew may differ by a bit or two
# from that, so pairs right at the limit prove nothing; these do.
SURELY_NEAR = 4
SURELY_SAME = 0.9
# As sure that nothing of a chain which the export may have cut is missed: pairs by which it may be longer here.
LOOSELY_SAME = 0.8
# How the line on a cluster of two sides ends.
ON_TWO_SIDES = "are near-duplicates in different splits"


class SplitLeaks:
    """Decodes pictures as they come, a few at a time, and finds near-duplicates among them."""

    def __init__(self) -> None:
        from imagenet_builder.crawl.limits import Limits

        self._anything = Limits(min_side=1, max_pixels=2**62, max_side=2**31, max_aspect=2.0**31, blank=0.0)
        self._threads = min(MOST_THREADS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads)
        self._waiting: deque[tuple[str, Future[Inspected | Rejected]]] = deque()
        self._split_of: dict[str, Split] = {}
        self._hashes: dict[str, int] = {}
        self._descriptors = DescriptorFile()
        self._problems: list[str] = []

    def add(self, shown: Shown) -> None:
        """Take one picture; its bytes are read soon, on another thread."""
        self._split_of[shown.file] = shown.split
        self._waiting.append((shown.file, self._pool.submit(self._inspect, shown)))
        if len(self._waiting) > 4 * self._threads:
            self._take()

    def finish(self) -> Iterator[str]:
        """One line for every picture that cannot be decoded and every cluster on two sides."""
        while self._waiting:
            self._take()
        self._pool.shutdown()
        yield from self._problems
        sides: dict[str, dict[Split, str]] = {}
        for file, cluster in clusters(self._hashes, SURELY_NEAR, self._descriptors, same=SURELY_SAME).items():
            sides.setdefault(cluster, {}).setdefault(self._split_of[file], file)
        leaks = [sorted(across.values()) for across in sides.values() if len(across) > 1]
        crowded = self._crowded() if leaks else set()
        for files in leaks:
            if not crowded.issuperset(files):
                yield f"{' and '.join(files)} {ON_TWO_SIDES}"

    def _crowded(self) -> set[str]:
        """The pictures in chains so long that the export may have cut them between two that are alike."""
        found = clustering(self._hashes, self._descriptors, same=LOOSELY_SAME)
        return found.chained(CROWD // 2)

    def _inspect(self, shown: Shown) -> Inspected | Rejected:
        from imagenet_builder.crawl.inspect import inspect

        return inspect(shown.read(), self._anything)

    def _take(self) -> None:
        file, future = self._waiting.popleft()
        inspected = future.result()
        if isinstance(inspected, Rejected):
            self._problems.append(f"{file} is not a whole picture: {inspected.detail or inspected.reason}")
        else:
            self._hashes[file] = inspected.perceptual_hash
            self._descriptors.add(file, inspected.descriptor)
