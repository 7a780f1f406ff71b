"""Writing a release: beside its place, then renamed, so that what has its name is whole."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from hits import database
from imagenet_builder.errors import ReleaseError
from imagenet_builder.garbage import rare_collections
from imagenet_builder.project import Project
from imagenet_builder.records import Split
from imagenet_builder.store.export import ReleaseRow, read_crowd, record_release
from imagenet_builder.store.provenance import Provenance, provenance

from .card import README_NAME, readme
from .datasheet import DATASHEET_NAME, datasheet
from .description import Release
from .documents import LICENCES_NAME, licences_text, manifest, plan_mark, settings_of
from .facts import Facts
from .formats import ReleaseFormat, croissant, find_format
from .formats.ilsvrc import devkit_files
from .plan import Plan, plan_release
from .provenance import write_provenance
from .request import ExportReport, ExportRequest
from .target import Target, target_for
from .tree import Listed, Tree, write_sums
from .writing import Progress, Writing, write_pictures

logger = logging.getLogger(__name__)

# Not where releases are usually put: nobody should publish the key of test with the rest of a folder.
KEYS_FOLDER = "test-keys"
# Formats that have the development kit.
KIT_FORMATS = frozenset(["ilsvrc", "ilsvrc-archives"])


def export(
    project: Project,
    request: ExportRequest,
    out: Path | str,
    *,
    processes: int = 1,
    hard_links: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Progress | None = None,
) -> ExportReport:
    """Write a release to `out`, a folder or an address in a bucket, with nothing in it yet; record it in the store.

    The same store, request and seed give the same bytes, with whatever number of `processes`. With `hard_links` a
    picture that stands in several trees of a folder is one file; it is never one with the image store's own, which
    whoever changes a release would damage. `progress` is told how
    many pictures of how many are written. A run that was killed or interrupted leaves only `.NAME.partial` beside a
    folder, and in a bucket files without a manifest: the next run to `out` goes on with that, if what it has to write
    is the same, and else removes it. Raises TooFewClasses (and writes nothing) when too few classes qualify,
    ReleaseError when `out` cannot be written, ImageStoreError when a picture is missing or damaged, LockHeld while
    another export runs.
    """
    _formats(request)
    target = target_for(project, out)
    target.check()
    with database.exclusive_lock(project.engine, "export"):
        plan = plan_release(project, request)
        logger.info("classes: %d, pictures: %d", len(plan.release.classes), len(plan.release.pictures))
        with target.errors():
            written = write_release(project, plan, request, target, processes, hard_links, progress)
            keys = _keep_keys(project, target.name, written)
            with database.writing(project.engine) as connection:
                record_release(
                    connection,
                    name=target.name,
                    digest=written.digest,
                    classes=len(plan.release.classes),
                    seed=request.seed,
                    settings=settings_of(request),
                    written_at=now(),
                    pictures=_rows(plan.release),
                )
                # Inside the transaction: a release that did not get its name is not recorded.
                target.publish(written.manifest)
            target.settle()
    return ExportReport(
        place=target.address,
        digest=written.digest,
        wnids=plan.choice.wnids,
        wanted=plan.wanted,
        counts=plan.counts,
        left_out=plan.choice.left_out,
        shortfalls=plan.shortfalls,
        test_keys=keys,
        reused=written.reused,
    )


def _formats(request: ExportRequest) -> list[ReleaseFormat]:
    """The formats that write pictures."""
    if croissant.FORMAT in request.formats:
        croissant.check_croissant(request.formats)
    return [find_format(name) for name in request.formats if name != croissant.FORMAT]


@dataclass(frozen=True, slots=True)
class WrittenRelease:
    """The SHA-256 of the SHA256SUMS that was written, the manifest that vouches for it, the keys of hidden splits, and
    how many files of an earlier run were not written again."""

    digest: str
    manifest: bytes
    keys: Mapping[Split, bytes]
    reused: int


@rare_collections()
def write_release(
    project: Project,
    plan: Plan,
    request: ExportRequest,
    target: Target,
    processes: int = 1,
    hard_links: bool = False,
    progress: Progress | None = None,
) -> WrittenRelease:
    """Write everything of a decided release but the manifest."""
    formats = _formats(request)
    if partial_files := target.begin(plan_mark(plan, request)):
        logger.info("going on with an unfinished export: %d files are there already", partial_files)
    release, journal = plan.release, target.journal
    tree = Tree(target.place, journal, "release")
    try:
        for one in formats:
            one.begin(release, tree)
        names = tuple(name for name in request.formats if name != croissant.FORMAT)
        alone = dataclasses.replace(release, pictures=release.pictures[:0])
        address = target.place.address
        writing = Writing(project, alone, names, request.resize, address, journal.folder, hard_links)
        pictures = write_pictures(writing, release, processes=processes, progress=progress)
        for one in formats:
            one.finish(release, tree, pictures.large_files)
        with database.reading(project.engine) as connection:
            facts = Facts(read_crowd(connection))
        origins = partial(_origins, project, plan)
        keys = write_provenance(release, pictures, origins, tree, facts, project.secret)
        _write_documents(plan, request, facts, tree, pictures.large_files)
    finally:
        tree.close()
    digest = write_sums(target.place, journal)
    return WrittenRelease(digest, manifest(plan, request, facts, digest), keys, tree.reused + pictures.reused)


def _origins(project: Project, plan: Plan, places: slice) -> list[Provenance]:
    found: list[Provenance] = []
    with database.reading(project.engine) as connection:
        rows, asked = plan.candidates[places].tolist(), plan.questions[places].tolist()
        for place, known in enumerate(provenance(connection, rows, asked), start=places.start):
            if known is None:
                sha256 = plan.release.pictures[place].sha256
                raise ReleaseError(f"the store does not say where image {sha256} came from")
            found.append(known)
    return found


def _write_documents(
    plan: Plan, request: ExportRequest, facts: Facts, tree: Tree, shards: Mapping[str, Listed]
) -> None:
    """Write what describes the release as a whole, after all that it describes."""
    if not KIT_FORMATS.intersection(request.formats):
        # The hierarchy by which `evaluate` scores.
        for path, content in devkit_files(plan.release).items():
            tree.write(path, content)
    tree.write(LICENCES_NAME, licences_text(facts))
    tree.write(README_NAME, readme(plan, request, facts))
    tree.write(DATASHEET_NAME, datasheet(plan, request, facts))
    if croissant.FORMAT in request.formats:
        tree.write(
            croissant.NAME, croissant.croissant(plan.release, request, facts, {**tree.large_files, **shards})
        )


def _keep_keys(project: Project, name: str, written: WrittenRelease) -> tuple[Path, ...]:
    """Write the keys of hidden splits into the project, readable only by its owner."""
    folder = project.folder / KEYS_FOLDER
    paths = []
    for split, key in written.keys.items():
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{name}-{written.digest[:12]}-{split}.key"
        beside = path.with_name(f".{path.name}.partial")
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{key.hex()}\n")
        beside.rename(path)
        paths.append(path)
    return tuple(paths)


def _rows(release: Release) -> Iterator[ReleaseRow]:
    for picture in release.pictures:
        yield ReleaseRow(picture.file_name, picture.sha256, picture.wnid, picture.split)
