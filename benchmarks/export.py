"""Export: an archive of many files beside GNU tar, and a release of up to a million pictures planned without bytes.

    python benchmarks/export.py [--files 20000] [--pictures 10000 100000 1000000] [--rounds 5] [--quick]

Archives: the same files, each read once before, by GNU tar, tarfile.add and the export's own writer, in turn; medians
of wall and CPU seconds. Releases: a SQLite store of random hashes and descriptors, 1,280 pictures a class, a
hundredth of them near-duplicates; planned, split, and written with images.parquet, attribution, sealed test and
manifest, but every picture's bytes are one small JPEG in memory; then again, when the project remembers which are
near-duplicates. Each runs in a process of its own. The last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from export_store import FILE_BYTES, make_store
from PIL import Image

from hits import database
from imagenet_builder.config import SETTINGS_NAME, load_settings
from imagenet_builder.export import plan as plan_module
from imagenet_builder.export import writing
from imagenet_builder.export.choose import Sizes
from imagenet_builder.export.clustered import cluster_places
from imagenet_builder.export.description import ReleasePicture
from imagenet_builder.export.places import FolderPlace
from imagenet_builder.export.plan import plan_release
from imagenet_builder.export.release import write_release
from imagenet_builder.export.request import ExportRequest
from imagenet_builder.export.tar import tar_member, write_tar_end
from imagenet_builder.export.target import FolderTarget
from imagenet_builder.export.tree import Journal, Tree
from imagenet_builder.project import Project
from imagenet_builder.store import categories
from imagenet_builder.store.export import Places, Supply

RELEASE = "release"


def gnu_tar(folder: Path, out: Path) -> None:
    subprocess.run(["tar", "-C", str(folder), "-cf", str(out), "."], check=True)


def tarfile_add(folder: Path, out: Path) -> None:
    with tarfile.open(out, "w") as archive:
        archive.add(folder, ".")


def own_writer(folder: Path, out: Path) -> None:
    """As `ilsvrc-archives` writes its flat archives, but for the pictures' way out of the store."""
    with FolderPlace(out.parent).open(out.name) as file:
        for name, content in contents_of(folder):
            file.writelines(tar_member(name, content))
        write_tar_end(file)


def own_writer_with_checksum(folder: Path, out: Path) -> None:
    """The same with the archive's SHA-256, as a release has it."""
    journal = Journal(out.parent / "journal")
    journal.begin("archive")
    tree = Tree(FolderPlace(out.parent), journal, "archive")
    with tree.open(out.name) as file:
        for name, content in contents_of(folder):
            file.writelines(tar_member(name, content))
        write_tar_end(file)
    tree.close()


def contents_of(folder: Path) -> Iterator[tuple[str, memoryview]]:
    """Name and bytes of every file in turn, in one piece of memory, as GNU tar has one."""
    room = bytearray(2 * FILE_BYTES)
    for path in sorted(folder.iterdir()):
        descriptor = os.open(path, os.O_RDONLY)
        size = os.readv(descriptor, [room])
        os.close(descriptor)
        yield path.name, memoryview(room)[:size]


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "GNU tar": gnu_tar,
    "tarfile.add": tarfile_add,
    "imagenet-builder": own_writer,
    "the same with SHA-256": own_writer_with_checksum,
}


def cpu_seconds() -> float:
    """Of this process and those it waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def archives(folder: Path, files: int, rounds: int) -> dict[str, dict[str, float]]:
    """Wall and CPU seconds of every writer, also beside GNU tar's: medians over rounds in which they take turns.

    All read from and write to the same file system. A round before them is not counted: it warms what is read, and
    gives the machine's memory to the cache, which costs whoever writes first two or three times as much. In every
    second round the turns are the other way round.
    """
    source = folder / "files"
    source.mkdir()
    content = np.random.default_rng(0).bytes(FILE_BYTES)
    for number in range(files):
        (source / f"{number:08d}.JPEG").write_bytes(content)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in WRITERS}
    for number in range(rounds + 1):
        for name in list(WRITERS)[:: 1 - 2 * (number % 2)]:
            out = folder / "archive.tar"
            wall, cpu = time.monotonic(), cpu_seconds()
            WRITERS[name](source, out)
            if number:
                taken[name].append((time.monotonic() - wall, cpu_seconds() - cpu))
            out.unlink()
    shutil.rmtree(source)
    beside = taken["GNU tar"]
    return {name: _figures(times, beside) for name, times in taken.items()}


def _figures(times: list[tuple[float, float]], beside: list[tuple[float, float]]) -> dict[str, float]:
    walls, cpus = ([one[kind] for one in times] for kind in (0, 1))
    return {
        "wall_s": round(statistics.median(walls), 2),
        "cpu_s": round(statistics.median(cpus), 2),
        "least_cpu_s": round(min(cpus), 2),
        "most_cpu_s": round(max(cpus), 2),
        "wall_of_gnu_tar": round(
            statistics.median(wall / one[0] for wall, one in zip(walls, beside, strict=True)), 2
        ),
        "cpu_of_gnu_tar": round(
            statistics.median(cpu / one[1] for cpu, one in zip(cpus, beside, strict=True)), 2
        ),
    }


def planned(folder: Path) -> dict[str, float]:
    """Plan and write a release of the project in `folder`, but for the pictures' bytes; seconds and peak memory."""
    written = io.BytesIO()
    Image.new("RGB", (8, 8)).save(written, "JPEG")
    small = written.getvalue()

    def contents(
        project: Project, pictures: Sequence[ReleasePicture], *_: object
    ) -> Iterator[list[tuple[ReleasePicture, bytes]]]:
        for start in range(0, len(pictures), 1024):
            yield [(picture, small) for picture in pictures[start : start + 1024]]

    clustering = 0.0

    def timed_clusters(folder: Path, supply: Supply) -> Places:
        nonlocal clustering
        begun = cpu_seconds()
        clusters = cluster_places(folder, supply)
        clustering = cpu_seconds() - begun
        return clusters

    for module, name, instead in (
        (writing, "release_contents", contents),
        (plan_module, "cluster_places", timed_clusters),
    ):
        setattr(module, name, instead)
    project = Project(folder, load_settings(folder / SETTINGS_NAME, {}))
    with database.reading(project.engine) as connection:
        classes = len(categories.selected(connection))
    request = ExportRequest(Sizes(50, 100, 100, 1300), classes=classes, formats=())
    wall, cpu = time.monotonic(), cpu_seconds()
    plan = plan_release(project, request)
    planning = cpu_seconds() - cpu
    write_release(project, plan, request, FolderTarget(folder / RELEASE))
    return {
        "released": len(plan.release.pictures),
        "plan_cpu_s": round(planning, 2),
        "duplicates_cpu_s": round(clustering, 2),
        "cpu_s": round(cpu_seconds() - cpu, 2),
        "wall_s": round(time.monotonic() - wall, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def release_of(folder: Path, pictures: int) -> dict[str, dict[str, float]]:
    """`planned` for a store of so many pictures, in a process of its own; again when near-duplicates are remembered."""
    fresh = multiprocessing.get_context("spawn")
    place = folder / f"store-{pictures}"
    with fresh.Pool(1) as pool:
        pool.apply(make_store, (place, pictures))
    found = {}
    for name in ("first", "again"):
        with fresh.Pool(1) as pool:
            found[name] = figures = pool.apply(planned, (place,))
        shutil.rmtree(place / f".{RELEASE}.partial")
        print(
            f"{pictures:>10,} pictures, {name}: {figures['cpu_s']:8.2f} s CPU "
            f"({1e6 * figures['cpu_s'] / pictures:.0f} µs each), {figures['plan_cpu_s']:.2f} s of it to plan, of which "
            f"{figures['duplicates_cpu_s']:.2f} s for near-duplicates, {figures['peak_mib']:,} MiB",
            flush=True,
        )
    shutil.rmtree(place)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--pictures", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="A tenth of the files, and no large store.")
    asked = parser.parse_args()
    files, sizes = asked.files, asked.pictures
    if asked.quick:
        files, sizes = files // 10, [size for size in sizes if size <= 10_000]
    with tempfile.TemporaryDirectory() as name:
        tars = archives(Path(name), files, asked.rounds) if files else {}
        print(f"archive of {files:,} files of {FILE_BYTES:,} bytes, load {os.getloadavg()[0]:.1f}")
        for writer, times in tars.items():
            print(
                f"{writer:22} {times['wall_s']:8.2f} s wall ({times['wall_of_gnu_tar']:.2f} of GNU tar's) "
                f"{times['cpu_s']:8.2f} s CPU ({times['cpu_of_gnu_tar']:.2f}; "
                f"{times['least_cpu_s']:.2f} to {times['most_cpu_s']:.2f})",
                flush=True,
            )
        curve = {pictures: release_of(Path(name), pictures) for pictures in sizes}
    print(json.dumps({"archives": tars, "releases": curve}))


if __name__ == "__main__":
    main()
