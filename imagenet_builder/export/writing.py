"""Writes the pictures of a release in all of its formats, part by part, in one process or several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imagenet_builder.errors import ReleaseError
from imagenet_builder.jpeg import frame_size
from imagenet_builder.project import Project

from .contents import Kept, release_contents
from .description import Release, ReleasePicture
from .formats import PartWriter, ReleaseFormat, find_format
from .formats.ilsvrc import picture_path
from .parts import Part, dealt_parts, whole_splits
from .places import open_place
from .tree import Journal, Listed, Tree

# What is known of every picture of a release once its bytes were seen; `offset` is -1 where it stands in no shard.
MEASURE = np.dtype(
    [("sha256", "V32"), ("width", "<u4"), ("height", "<u4"), ("bytes", "<u4"), ("offset", "<i8")]
)
Measures = npt.NDArray[np.void]
# For fewer pictures it does not pay to start processes.
WORTH_A_PROCESS = 500
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Writing:
    """What every process that writes parts has to know; `release` has no pictures."""

    project: Project
    release: Release
    formats: tuple[str, ...]
    resize: int | None
    address: str
    journal: Path
    hard_links: bool = False


class Written(NamedTuple):
    """A part that is written: its measures, the shard that these are of, large files by path, and how many files a
    killed run had finished."""

    measures: Measures
    shard: str | None
    large_files: Mapping[str, Listed]
    reused: int


@dataclass
class Pictures:
    """What was measured of all pictures, in release order; `shard_of` numbers the names in `shards`."""

    measures: Measures
    shard_of: npt.NDArray[np.int32]
    shards: list[str] = field(default_factory=list)
    large_files: dict[str, Listed] = field(default_factory=dict)
    reused: int = 0

    @classmethod
    def of(cls, count: int) -> Pictures:
        """For so many pictures, nothing of which is known."""
        return cls(np.zeros(count, MEASURE), np.full(count, -1, np.int32))

    def take(self, part: Part, written: Written) -> None:
        """Take in a part."""
        places = slice(part.places.start, part.places.stop, part.places.step)
        self.measures[places] = written.measures
        if written.shard is not None:
            self.shard_of[places] = len(self.shards)
            self.shards.append(written.shard)
        self.large_files |= written.large_files
        self.reused += written.reused


def write_pictures(
    writing: Writing, release: Release, *, processes: int = 1, progress: Progress | None = None
) -> Pictures:
    """Write all pictures of `release`, with up to so many processes; the same bytes whatever their number.

    Raises ImageStoreError for a picture that is missing or damaged, ReleaseError where a process is lost or a bucket
    fails, OSError as the disk does.
    """
    formats = [find_format(name) for name in writing.formats]
    found = Pictures.of(len(release.pictures))
    dealt = [] if formats and all(one.in_order for one in formats) else [dealt_parts(release)]
    whole = list(whole_splits(release)) if any(one.in_order for one in formats) else []
    total = len(release.pictures) * (len(dealt) + bool(whole))
    done = 0

    def advance(pictures: int) -> None:
        nonlocal done
        done += pictures
        if progress is not None:
            progress(done, total)

    for parts in dealt:
        if processes > 1 and len(release.pictures) >= WORTH_A_PROCESS:
            with closing(_in_processes(writing, parts, processes)) as finished:
                for part, written in finished:
                    found.take(part, written)
                    advance(len(part.pictures))
        else:
            for part in parts:
                found.take(part, write_part(writing, part, advance=advance))
    if whole:
        _write_whole(writing, whole, found, measured=bool(dealt), advance=advance)
    return found


def _write_whole(
    writing: Writing,
    whole: Sequence[Part],
    found: Pictures,
    *,
    measured: bool,
    advance: Callable[[int], None],
) -> None:
    """Write the formats that want their pictures in order; what the others wrote of a tree need not be made again."""
    place = open_place(writing.address)
    for part in whole:
        kept: Kept | None = None
        if measured and "ilsvrc" in writing.formats:
            digests = found.measures["sha256"][part.places.start : part.places.stop]
            digest_of = {
                picture.name: digest.tobytes() for picture, digest in zip(part.pictures, digests, strict=True)
            }

            def kept(picture: ReleasePicture, digest_of: Mapping[str, bytes] = digest_of) -> bytes | None:
                content = place.read(picture_path(picture))
                return content if sha256(content).digest() == digest_of[picture.name] else None

        written = write_part(writing, part, in_order=True, kept=kept, advance=advance)
        if measured:
            found.large_files |= written.large_files
            found.reused += written.reused
        else:
            found.take(part, written)


def write_part(
    writing: Writing,
    part: Part,
    *,
    in_order: bool = False,
    kept: Kept | None = None,
    advance: Callable[[int], None] = lambda pictures: None,
) -> Written:
    """Write one part in all formats that are, or are not, `in_order`; `advance` is told of so many more pictures.

    `kept` gives the JPEGs of pictures that need not be made, or None.
    """
    named = [(name, find_format(name)) for name in writing.formats]
    formats = [one for _, one in named if one.in_order == in_order]
    name = f"{'whole' if in_order else 'part'}-{part.split}-{part.number:05d}"
    journal = Journal(writing.journal)
    tree = Tree(open_place(writing.address), journal, name, hard_links=writing.hard_links)
    try:
        finished = _finished(writing, part, formats, tree, name)
        if finished is not None:
            advance(len(part.pictures))
            return finished
        if kept is None:
            kept = (lambda picture: tree.kept(picture_path(picture))) if "ilsvrc" in writing.formats else None
        written = _write(writing, part, formats, tree, kept, advance)
        with journal.replacing(f"{name}.npy") as file:
            np.save(file, written.measures)
        return written
    finally:
        tree.close()


def _finished(
    writing: Writing, part: Part, formats: Sequence[ReleaseFormat], tree: Tree, name: str
) -> Written | None:
    """The part, if a killed run wrote all of it."""
    try:
        measures = np.load(writing.journal / f"{name}.npy")
    except (FileNotFoundError, ValueError, EOFError):
        return None
    listed = tree.whole()
    if listed is None or len(measures) != len(part.pictures):
        return None
    shards = [path for one in formats if (path := one.shard(part)) is not None]
    large = {path: listed[path] for path in listed if path in shards}
    shard = shards[0] if shards and (measures["offset"] >= 0).all() else None
    return Written(measures, shard, large, len(listed))


def _write(
    writing: Writing,
    part: Part,
    formats: Sequence[ReleaseFormat],
    tree: Tree,
    kept: Kept | None,
    advance: Callable[[int], None],
) -> Written:
    measures = np.zeros(len(part.pictures), MEASURE)
    measures["offset"] = -1
    with ExitStack() as stack:
        writers: list[PartWriter] = [
            stack.enter_context(one.part(writing.release, part, tree)) for one in formats
        ]
        place = 0
        for batch in release_contents(writing.project, part.pictures, writing.resize, kept):
            for picture, content in batch:
                for writer in writers:
                    writer.add(picture, content)
                measures[place] = (sha256(content).digest(), *frame_size(content), len(content), -1)
                place += 1
            advance(len(batch))
    shard = None
    for one, writer in zip(formats, writers, strict=True):
        if shard is None and len(writer.offsets) == len(part.pictures):
            shard = one.shard(part)
            measures["offset"] = writer.offsets
    return Written(measures, shard, tree.large_files, tree.reused)


def _in_processes(writing: Writing, parts: Iterator[Part], processes: int) -> Generator[tuple[Part, Written]]:
    """The parts as they get ready, in any order; a few more are waiting than there are processes."""
    # An engine or a client that is open already belongs to this process.
    alone = replace(writing, project=Project(writing.project.folder, writing.project.settings))
    # Forking would copy threads' locks in whatever state they are; a fork server keeps an environment of its own.
    context = multiprocessing.get_context("spawn")
    # Closed when this process ends, however it ends: a process that is left would write what another run writes now.
    alive, to_close = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin_process, initargs=(alone, alive)
    )
    under_way: dict[Future[Written], Part] = {}
    try:
        while True:
            while len(under_way) < 2 * processes and (part := next(parts, None)) is not None:
                under_way[pool.submit(_write_in_process, part)] = part
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                yield under_way.pop(future), future.result()
    except BrokenProcessPool as error:
        raise ReleaseError(
            "a process that wrote a part of the release was ended, perhaps for want of memory: "
            "run the export again with fewer --processes"
        ) from error
    except BaseException:
        # Nobody waits for parts that are half-written.
        to_close.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        to_close.close()
        alive.close()


_in_this_process: Writing | None = None


def _begin_process(writing: Writing, alive: Connection) -> None:
    global _in_this_process
    _in_this_process = writing
    # Ctrl-C reaches all processes: the first one says when it is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()


def _end_with(alive: Connection) -> None:
    with suppress(EOFError, OSError):
        alive.recv_bytes()
    os._exit(1)


def _write_in_process(part: Part) -> Written:
    assert _in_this_process is not None
    return write_part(_in_this_process, part)
