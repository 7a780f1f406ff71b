"""Exports that are killed, or that the disk fails: nothing looks finished, and the next run is as if nothing was."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from hits import database
from hits.errors import DatabaseError
from imagenet_builder.errors import ImageStoreError
from imagenet_builder.export import parts
from imagenet_builder.export.choose import Sizes
from imagenet_builder.export.formats import FORMATS
from imagenet_builder.export.formats.ilsvrc import picture_path
from imagenet_builder.export.plan import plan_release
from imagenet_builder.export.release import export
from imagenet_builder.export.request import ExportRequest
from imagenet_builder.export.tree import Journal
from imagenet_builder.export.verify import verify_release
from imagenet_builder.project import Project
from imagenet_builder.store import tables
from tests.export_parts import GOLDFISH, TENCH, UMBRELLA, project_with, some_pictures, tree_of

REQUEST = ExportRequest(Sizes(val=10, test=10, min_train=10, max_train=40), classes=3)

# Says when the first batch of pictures is written, and then waits to be killed.
HANGS_HALF_WAY = """
import sys, time
from pathlib import Path
from imagenet_builder.project import find_project
from imagenet_builder.export.release import export
from tests.integration.test_export_interrupted import REQUEST

def hang(done, total):
    if done < total:
        print("half way", flush=True)
        time.sleep(600)

export(find_project(Path(sys.argv[1])), REQUEST, Path(sys.argv[2]), progress=hang)
"""

# Files may not grow beyond two kilobytes once the store is open: what a full disk does, for one process only.
RUNS_OUT_OF_ROOM = """
import resource, sys
from pathlib import Path
from hits import database
from imagenet_builder.cli import run
from imagenet_builder.project import find_project
from imagenet_builder.export.plan import plan_release
from imagenet_builder.export import release
from tests.integration.test_export_interrupted import REQUEST

def planned(project, request):
    # The release alone runs out of room, not what planning keeps elsewhere.
    plan = plan_release(project, request)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
    return plan

release.plan_release = planned
project = find_project(Path(sys.argv[1]))
with database.reading(project.engine):
    sys.exit(run(lambda **_: release.export(project, REQUEST, Path(sys.argv[2]))))
"""


@pytest.fixture
def project(tmp_path: Path, wordnet_folder: Path) -> Project:
    return project_with(
        tmp_path / "project", wordnet_folder, some_pictures({TENCH: 40, GOLDFISH: 45, UMBRELLA: 35})
    )


def start(
    script: str, project: Project, out: Path, *, start_new_session: bool = False
) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", script, str(project.folder), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=start_new_session,
    )


def recorded(project: Project) -> int:
    with database.reading(project.engine) as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(tables.releases)) or 0


def test_a_killed_export_leaves_nothing_that_looks_finished_and_the_next_run_is_undisturbed(
    project: Project, tmp_path: Path
) -> None:
    out = tmp_path / "releases" / "first"
    running = start(HANGS_HALF_WAY, project, out)
    assert running.stdout is not None
    assert running.stderr is not None
    said = running.stdout.readline()
    running.send_signal(signal.SIGKILL)
    assert said == "half way\n", running.stderr.read()
    assert running.wait() == -signal.SIGKILL
    running.stdout.close()
    running.stderr.close()
    partial = out.with_name(".first.partial")
    assert list(partial.rglob("*.JPEG"))
    assert not out.exists()
    assert not (partial / "manifest.json").exists()
    assert recorded(project) == 0

    export(project, REQUEST, out)
    assert [path.name for path in out.parent.iterdir()] == ["first"]
    assert recorded(project) == 1
    undisturbed = export(project, REQUEST, tmp_path / "undisturbed")
    assert tree_of(out) == tree_of(undisturbed.folder)
    assert verify_release(out) == []


EVERYTHING = replace(REQUEST, formats=(*FORMATS, "croissant"))

# Goes on until so many pictures are written, and is killed then, at once.
KILLED_AFTER = """
import os, signal, sys
from pathlib import Path
from imagenet_builder.export import contents
from imagenet_builder.project import find_project
from imagenet_builder.export.release import export
from tests.integration.test_export_interrupted import EVERYTHING

contents.PICTURES_AT_ONCE = 8
most = int(sys.argv[3])

def kill(done, total):
    if done >= most:
        os.kill(os.getpid(), signal.SIGKILL)

export(find_project(Path(sys.argv[1])), EVERYTHING, Path(sys.argv[2]), progress=kill)
"""


def kill_after(project: Project, out: Path, pictures: int) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER, str(project.folder), str(out), str(pictures)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_killed_export_is_gone_on_with_and_the_release_is_the_same_to_the_byte(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "releases" / "first"
    undisturbed = tree_of(export(project, EVERYTHING, tmp_path / "undisturbed").folder)
    # Twice: what the first run finished outlives the second one's end, whose own list is shorter.
    kill_after(project, out, 110)
    kill_after(project, out, 24)
    partial = out.with_name(".first.partial")
    assert not (partial / "manifest.json").exists()
    pictures = sorted(partial.rglob("train/**/*.JPEG"))
    torn, lost = pictures[0], pictures[1]
    torn.write_bytes(torn.read_bytes()[:-7])
    lost.unlink()
    (partial / "half-written").write_bytes(b"nobody listed it")
    # What is there is not asked of the store again.
    kept = Journal(partial / ".unfinished").everything().keys() - {
        path.relative_to(partial).as_posix() for path in (torn, lost)
    }
    for one in plan_release(project, EVERYTHING).release.pictures:
        if picture_path(one) in kept:
            project.images.delete(one.sha256)
    report = export(project, EVERYTHING, out)
    assert report.reused > 60
    assert tree_of(out) == undisturbed
    assert verify_release(out) == []
    assert [path.name for path in out.parent.iterdir()] == ["first"]


def test_another_release_to_the_same_place_takes_nothing_over(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "releases" / "first"
    kill_after(project, out, 60)
    other = replace(EVERYTHING, seed=1)
    report = export(project, other, out)
    assert report.reused == 0
    assert tree_of(out) == tree_of(export(project, other, tmp_path / "undisturbed").folder)


def test_a_full_disk_is_told_in_one_line_and_the_room_is_given_back(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "releases" / "first"
    running = start(RUNS_OUT_OF_ROOM, project, out)
    _, complaint = running.communicate()
    assert running.returncode == 1, complaint
    assert complaint.startswith(f"Error: cannot write the release {out}: File too large"), complaint
    assert len(complaint.splitlines()) == 1
    assert list(out.parent.iterdir()) == []
    assert recorded(project) == 0
    export(project, REQUEST, out)
    assert verify_release(out) == []


def test_an_interrupted_export_is_gone_on_with(project: Project, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "releases" / "first"
    with pytest.raises(KeyboardInterrupt):
        export(project, REQUEST, out, progress=interrupt)
    assert [path.name for path in out.parent.iterdir()] == [".first.partial"]
    assert not (out.parent / ".first.partial" / "manifest.json").exists()
    assert export(project, REQUEST, out).reused > 60
    assert [path.name for path in out.parent.iterdir()] == ["first"]
    assert verify_release(out) == []


def test_an_export_that_fails_gives_the_room_back(project: Project, tmp_path: Path) -> None:
    gone = plan_release(project, REQUEST).release.pictures[-1].sha256
    project.images.delete(gone)
    out = tmp_path / "releases" / "first"
    with pytest.raises(ImageStoreError, match=f"image {gone} is missing"):
        export(project, REQUEST, out)
    assert list(out.parent.iterdir()) == []
    assert recorded(project) == 0


@pytest.fixture
def larger(tmp_path: Path, wordnet_folder: Path) -> Project:
    """Enough pictures for several processes."""
    counts = {TENCH: 180, GOLDFISH: 190, UMBRELLA: 180}
    return project_with(tmp_path / "project", wordnet_folder, some_pictures(counts))


SPREAD = replace(EVERYTHING, sizes=Sizes(val=10, test=10, min_train=10, max_train=400))


def test_several_processes_write_the_same_bytes_as_one(larger: Project, tmp_path: Path) -> None:
    alone = export(larger, SPREAD, tmp_path / "alone")
    together = export(larger, SPREAD, tmp_path / "together", processes=2)
    assert tree_of(alone.folder) == tree_of(together.folder)
    assert verify_release(together.folder) == []


INTERRUPTED = """
import sys, time
from pathlib import Path
from imagenet_builder.project import find_project
from imagenet_builder.export import parts
from imagenet_builder.export.release import export
from tests.integration.test_export_interrupted import SPREAD

def wait(done, total):
    if done >= 200:
        print("under way", flush=True)
        time.sleep(600)

parts.PART_PICTURES = 50
if __name__ == "__main__":
    try:
        export(find_project(Path(sys.argv[1])), SPREAD, Path(sys.argv[2]), processes=2, progress=wait)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_ctrl_c_ends_all_processes_without_a_word_of_theirs(larger: Project, tmp_path: Path) -> None:
    out = tmp_path / "releases" / "first"
    running = start(INTERRUPTED, larger, out, start_new_session=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "under way\n"
    os.killpg(running.pid, signal.SIGINT)
    # Until all that hold its ends of the pipes are gone.
    _, said = running.communicate(timeout=200)
    assert (running.returncode, said) == (130, "")
    assert [path.name for path in out.parent.iterdir()] == [".first.partial"]
    assert list((out.parent / ".first.partial").rglob("*.JPEG"))


KILLED_WITH_PROCESSES = """
import os, signal, sys
from pathlib import Path
from imagenet_builder.export import contents, parts
from imagenet_builder.project import find_project
from imagenet_builder.export.release import export
from tests.integration.test_export_interrupted import SPREAD

def kill(done, total):
    if done >= 200:
        os.kill(os.getpid(), signal.SIGKILL)

parts.PART_PICTURES = 100
if __name__ == "__main__":
    export(find_project(Path(sys.argv[1])), SPREAD, Path(sys.argv[2]), processes=2, progress=kill)
"""


def test_an_export_killed_with_all_its_processes_is_gone_on_with(
    larger: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_PICTURES", 100)
    undisturbed = export(larger, SPREAD, tmp_path / "undisturbed")
    out = tmp_path / "releases" / "first"
    running = start(KILLED_WITH_PROCESSES, larger, out)
    _, said = running.communicate(timeout=120)
    assert running.returncode == -signal.SIGKILL, said
    report = export(larger, SPREAD, out)
    # 200 pictures as files of their own, at least.
    assert report.reused > 200
    assert tree_of(out) == tree_of(undisturbed.folder)


def test_a_release_that_the_store_does_not_take_is_taken_away_again(project: Project, tmp_path: Path) -> None:
    def forget(connection: sa.Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full"))

    out = tmp_path / "releases" / "first"
    sa.event.listen(project.engine, "commit", forget)
    with pytest.raises(DatabaseError, match="free some disk space"):
        export(project, REQUEST, out)
    sa.event.remove(project.engine, "commit", forget)
    assert list(out.parent.iterdir()) == []
    assert recorded(project) == 0
    export(project, REQUEST, out)
    assert recorded(project) == 1
