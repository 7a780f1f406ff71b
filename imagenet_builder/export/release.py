"""Writing a release: beside its place, then renamed, so that what has its name is whole."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hits import database
from imagenet_builder.errors import ReleaseError
from imagenet_builder.project import Project
from imagenet_builder.records import Split
from imagenet_builder.store.export import ReleaseRow, provenance, read_crowd, record_release

from .card import README_NAME, readme
from .contents import release_contents
from .datasheet import DATASHEET_NAME, datasheet
from .description import Release
from .documents import LICENCES_NAME, MANIFEST_NAME, licences_text, manifest, plan_mark, settings_of
from .facts import Facts
from .formats import ReleaseFormat, croissant, find_format
from .formats.ilsvrc import picture_path
from .plan import Plan, plan_release
from .provenance import writing_provenance
from .request import ExportReport, ExportRequest
from .tree import Tree

logger = logging.getLogger(__name__)

# Not where releases are usually put: nobody should publish the key of test with the rest of a folder.
KEYS_FOLDER = "test-keys"
Progress = Callable[[int, int], None]


def export(
    project: Project,
    request: ExportRequest,
    out: Path,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Progress | None = None,
) -> ExportReport:
    """Write a release to the folder `out`, which must not exist or be empty, and record it in the store.

    The same store, request and seed give the same bytes. `progress` is told how many pictures of how many are
    written. A run that was killed leaves only `.NAME.partial` beside `out`: the next run to `out` goes on with it, if
    what it has to write is the same, and else removes it. Raises TooFewClasses (and writes nothing) when too few
    classes qualify, ReleaseError when `out` cannot be written, ImageStoreError when a picture is missing or damaged,
    LockHeld while another export runs.
    """
    out = out.absolute()
    _check_place(out)
    formats = _formats(request)
    with database.exclusive_lock(project.engine, "export"):
        plan = plan_release(project, request)
        logger.info("classes: %d, pictures: %d", len(plan.release.classes), len(plan.release.pictures))
        with _disk_errors(out), ExitStack() as undo:
            partial = out.with_name(f".{out.name}.partial")
            undo.callback(shutil.rmtree, partial, ignore_errors=True)
            written = _write(project, plan, request, formats, partial, progress)
            keys = _keep_keys(project, out.name, written)
            with database.writing(project.engine) as connection:
                record_release(
                    connection,
                    name=out.name,
                    digest=written.digest,
                    classes=len(plan.release.classes),
                    seed=request.seed,
                    settings=settings_of(request),
                    written_at=now(),
                    pictures=_rows(plan.release),
                )
                # Inside the transaction: a release that did not get its name is not recorded.
                partial.rename(out)
                undo.callback(shutil.rmtree, out, ignore_errors=True)
            undo.pop_all()
    return ExportReport(
        folder=out,
        digest=written.digest,
        wnids=plan.choice.wnids,
        wanted=plan.wanted,
        counts=plan.counts,
        left_out=plan.choice.left_out,
        shortfalls=plan.shortfalls,
        test_keys=keys,
        reused=written.reused,
    )


def _check_place(out: Path) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise ReleaseError(f"{out} exists already: a release is never overwritten; give another --out")


def _formats(request: ExportRequest) -> list[ReleaseFormat]:
    """The formats that write pictures."""
    if croissant.FORMAT in request.formats:
        croissant.check_croissant(request.formats)
    return [find_format(name) for name in request.formats if name != croissant.FORMAT]


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            remedy = "free some disk space and run the export again"
        else:
            remedy = f"check that you may write to {out.parent}"
        raise ReleaseError(f"cannot write the release {out}: {error.strerror or error}; {remedy}") from error


@dataclass(frozen=True, slots=True)
class _Written:
    """The SHA-256 of the SHA256SUMS that was written, the keys of hidden splits, and how many files of a killed run
    were not written again."""

    digest: str
    keys: Mapping[Split, bytes]
    reused: int


def _write(
    project: Project,
    plan: Plan,
    request: ExportRequest,
    formats: Sequence[ReleaseFormat],
    partial: Path,
    progress: Progress | None,
) -> _Written:
    """Write the whole release into `partial`."""
    tree = Tree(partial, plan_mark(plan, request))
    if partial_files := tree.kept_files:
        logger.info("going on with a killed export: %d files are there already", partial_files)
    try:
        facts, keys = _write_pictures(project, plan, request, formats, tree, progress)
        _write_documents(plan, request, facts, tree)
        digest = tree.close()
    finally:
        tree.abandon()
    tree.write_unlisted(MANIFEST_NAME, manifest(plan, request, facts, digest))
    tree.freeze()
    return _Written(digest, keys, tree.reused)


def _write_pictures(
    project: Project,
    plan: Plan,
    request: ExportRequest,
    formats: Sequence[ReleaseFormat],
    tree: Tree,
    progress: Progress | None,
) -> tuple[Facts, Mapping[Split, bytes]]:
    """Write every format and where the pictures came from; returns what was counted on the way, and the keys."""
    release = plan.release
    done = 0
    with database.reading(project.engine) as connection:
        facts = Facts(read_crowd(connection))
    with writing_provenance(release, tree, facts, project.secret) as origins, ExitStack() as stack:
        adders = [stack.enter_context(write(release, tree)) for write in formats]
        for batch in release_contents(
            project, release.pictures, request.resize, lambda picture: tree.kept(picture_path(picture))
        ):
            with database.reading(project.engine) as connection:
                labelled = [(picture.wnid, picture.sha256) for picture, _ in batch]
                known = provenance(connection, labelled, request.licences)
            for picture, content in batch:
                origin = known.get((picture.wnid, picture.sha256))
                if origin is None:
                    raise ReleaseError(f"the store does not say where image {picture.sha256} came from")
                for add in adders:
                    add(picture, content)
                origins.add(picture, content, origin)
            done += len(batch)
            if progress is not None:
                progress(done, len(release.pictures))
    return facts, origins.keys


def _write_documents(plan: Plan, request: ExportRequest, facts: Facts, tree: Tree) -> None:
    """Write what describes the release as a whole, after all that it describes."""
    tree.write(LICENCES_NAME, licences_text(facts))
    tree.write(README_NAME, readme(plan, request, facts))
    tree.write(DATASHEET_NAME, datasheet(plan, request, facts))
    if croissant.FORMAT in request.formats:
        tree.write(croissant.NAME, croissant.croissant(plan.release, request, facts, tree.large_files))


def _keep_keys(project: Project, name: str, written: _Written) -> tuple[Path, ...]:
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
