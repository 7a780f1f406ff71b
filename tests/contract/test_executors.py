"""What every executor does: a crawl in this process, and one by workers on a Ray cluster."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.errors import ImageStoreError, ProjectError
from imagenet_builder.project import Project
from imagenet_builder.sources.folder import Folder
from tests.builder_store import add_categories, empty_project
from tests.fault_server import GOOD, FaultServer
from tests.many_hosts import HOSTS, PATHS, WNID, ended, in_one_process, project_for, rows, server, source

__all__ = ["in_one_process", "server"]


@pytest.fixture(params=["local", "ray"])
def executor(request: pytest.FixtureRequest) -> str:
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    return str(request.param)


def test_every_executor_ends_candidates_alike_and_asks_a_host_from_one_place_only(
    server: FaultServer, in_one_process: Project, executor: str, tmp_path: Path
) -> None:
    project = project_for(tmp_path / "project", server, executor, per_host=1, metrics="figures")
    report = crawl(project, sources=[source(server)])
    assert rows(project) == rows(in_one_process)
    assert len(rows(project)) == len(PATHS) * len(HOSTS)
    assert set(project.images) == set(in_one_process.images)
    assert report.stored == ended(project, "stored") == 14 * len(HOSTS)
    # A second owner of a host would ask for its robots.txt again, and would ask it while the first one does.
    assert {host: server.asked_of[host, "/robots.txt"] for host in HOSTS} == dict.fromkeys(HOSTS, 1)
    assert {host: server.most_at_once[host] for host in HOSTS} == dict.fromkeys(HOSTS, 1)
    last = json.loads((project.folder / "figures.jsonl").read_text().splitlines()[-1])
    assert (last["hosts"], last["hosts_down"], last["bytes_in_flight"]) == (len(HOSTS), 0, 0)
    assert last["fetched_bytes"] >= report.stored * 1000
    asked = server.asked.copy()
    assert crawl(project, sources=[source(server)]).outcomes == ()
    assert server.asked == asked


def test_a_crawl_ends_soon_after_its_quota(server: FaultServer, executor: str, tmp_path: Path) -> None:
    project = project_for(tmp_path, server, executor, disk_quota=3 * len(GOOD), host_delay=0.2)
    pictures = source(server, *(f"/good?seed={seed}" for seed in range(80)))
    first = crawl(project, sources=[pictures])
    assert first.quota_reached
    assert 0 < first.stored < 480
    assert ended(project, "pending") == 480 - first.stored


def test_excluded_pictures_are_rejected_and_their_bytes_not_stored(
    server: FaultServer, executor: str, tmp_path: Path
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    (others / "known.jpg").write_bytes(GOOD)
    project = project_for(tmp_path / "project", server, executor, exclude=[str(others)])
    report = crawl(project, sources=[source(server, "/good")])
    assert [(outcome.reason, outcome.count) for outcome in report.outcomes] == [("excluded", len(HOSTS))]
    assert list(project.images) == []


def test_files_of_the_users_own_are_read_where_they_are(executor: str, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    (pictures / WNID).mkdir(parents=True)
    (pictures / WNID / "one.jpg").write_bytes(GOOD)
    project = empty_project(tmp_path / "project", crawl={"executor": executor, "licences": ["unknown"]})
    add_categories(project, WNID)
    assert crawl(project, sources=[Folder(pictures)]).stored == 1


def test_an_image_store_that_fails_ends_the_run_in_one_line(
    server: FaultServer, executor: str, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server, executor)
    # A file where the folder of the picture should be.
    sha256 = hashlib.sha256(GOOD).hexdigest()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / sha256[:2]).write_bytes(b"")
    with pytest.raises(ImageStoreError, match="cannot write images in") as caught:
        crawl(project, sources=[source(server, "/good")])
    assert "\n" not in str(caught.value)
    assert ended(project, "stored") == 0


def test_an_executor_that_is_not_there_is_named_before_anything_is_asked(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProjectError, match="no executor 'spark'; known are local, ray"):
        crawl(project_for(tmp_path / "a", server, "spark"), sources=[source(server)])
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ProjectError, match=r"pip install 'imagenet-builder\[ray\]'"):
        crawl(project_for(tmp_path / "b", server, "ray"), sources=[source(server)])
    assert server.asked.total() == 0
