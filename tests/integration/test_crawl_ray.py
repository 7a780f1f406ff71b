"""A crawl on a Ray cluster whose workers or driver are killed, stopped, or set up in a way that cannot work."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.cli import command_line
from imagenet_builder.cli import run as run_command
from imagenet_builder.crawl import crawl as crawl_module
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.errors import BuilderError
from imagenet_builder.executors.ray_worker import owner_of
from imagenet_builder.project import Project
from imagenet_builder.store import tables
from tests.children import child
from tests.fault_server import FaultServer
from tests.many_hosts import (
    HOSTS,
    ended,
    in_one_process,
    port_of,
    project_for,
    rows,
    server,
    soon,
    source,
    source_at,
    without_attempts,
)
from tests.ray_parts import kill_worker, worker_pids
from tests.real_parts import free_port

__all__ = ["in_one_process", "server"]


def command_here(folder: str, port: str, *options: str) -> None:
    """The command line, with the pictures of many hosts for a source."""
    setattr(crawl_module, "open_sources", lambda *_: (source_at(port),))  # noqa: B010
    sys.exit(run_command(command_line.main, "--project", folder, "crawl", "--executor", "ray", *options))


def on_cluster(
    folder: Path, server: FaultServer, address: str, *, workers: int = 0, **settings: Any
) -> Project:
    """A project whose crawls, in whatever process, run on the cluster at `address`."""
    sections: dict[str, dict[str, object]] = {"ray": {"address": address, "workers": workers}}
    return project_for(folder, server, "ray", sections=sections, **settings)


@pytest.mark.parametrize("owners", [1, 2, 7])
def test_a_host_has_one_owner_whatever_the_scheme_and_port(owners: int) -> None:
    for host in ("pictures.example", "bücher.example", "127.0.0.1", "[::1]"):
        urls = (f"http://{host}/a.jpg", f"https://{host.upper()}:8443/b", f"http://www.{host}/?c#d")
        wanted = {owner_of(url, owners) for url in (urls if host[0] not in "[1" else urls[:2])}
        assert len(wanted) == 1
        assert wanted <= set(range(owners))


def test_hosts_are_spread_over_owners_and_what_is_no_address_has_one_too() -> None:
    owners = Counter(owner_of(f"https://pictures{number}.example/a.jpg", 4) for number in range(400))
    assert min(owners[owner] for owner in range(4)) > 60
    for url in ("", "http://[", "mailto:a@b", "http://a:99999/"):
        assert owner_of(url, 4) in range(4)


def worked(server: FaultServer, number: int) -> bool:
    """Whether workers run, and have asked so many times."""
    return server.asked.total() >= number and bool(worker_pids())


@pytest.mark.usefixtures("ray_cluster")
def test_a_lost_workers_batch_is_done_again_and_nothing_twice(
    server: FaultServer, in_one_process: Project, tmp_path: Path
) -> None:
    project = project_for(tmp_path / "project", server, "ray", connections=2)
    crawling = threading.Thread(target=crawl, args=(project,), kwargs={"sources": [source(server)]})
    crawling.start()
    # Otherwise no redirect would lead from one worker to the other.
    assert len({owner_of(f"http://{host}/", 2) for host in HOSTS}) == 2
    for number in (10, 40):
        soon(partial(worked, server, number))
        kill_worker()
    crawling.join(120)
    assert not crawling.is_alive()
    assert without_attempts(project) == without_attempts(in_one_process)
    assert set(project.images) == set(in_one_process.images)


@pytest.mark.usefixtures("ray_cluster")
def test_workers_that_are_lost_again_and_again_end_the_run_in_one_line(
    server: FaultServer, tmp_path: Path
) -> None:
    project = project_for(tmp_path, server, "ray", connections=1, host_delay=5.0)
    over = threading.Event()

    def kill_all() -> None:
        while not over.wait(0.2):
            for _ in worker_pids():
                kill_worker()

    killing = threading.Thread(target=kill_all)
    killing.start()
    try:
        with pytest.raises(BuilderError, match="worker") as caught:
            crawl(project, sources=[source(server)])
    finally:
        over.set()
        killing.join()
    assert "\n" not in str(caught.value)
    assert ended(project, "pending") == len(rows(project))


def test_a_killed_driver_takes_its_workers_along_and_is_resumed(
    server: FaultServer, in_one_process: Project, ray_cluster: str, tmp_path: Path
) -> None:
    project = on_cluster(tmp_path / "project", server, ray_cluster, host_delay=0.1)
    with child(__name__, "command_here", str(project.folder), port_of(server)) as process:
        soon(lambda: ended(project, "stored") >= 10)
        process.kill()
        process.wait()
    assert ended(project, "pending") > 0
    # Nobody of the old run may be left to ask the same hosts.
    soon(lambda: not worker_pids())
    with child(__name__, "command_here", str(project.folder), port_of(server)) as process:
        _, talk = process.communicate(timeout=120)
    assert process.returncode == 0, talk
    assert without_attempts(project) == without_attempts(in_one_process)
    assert set(project.images) == set(in_one_process.images)


def test_what_ray_says_of_a_lost_worker_stays_out_of_the_json_on_stdout(
    server: FaultServer, in_one_process: Project, tmp_path: Path
) -> None:
    # The command's own cluster: only its driver is told of what happens there.
    project = on_cluster(tmp_path / "project", server, "", host_delay=0.3)
    with child(__name__, "command_here", str(project.folder), port_of(server), "--json") as process:
        soon(lambda: ended(project, "stored") >= 5 and bool(worker_pids()))
        kill_worker()
        answer, talk = process.communicate(timeout=120)
    assert process.returncode == 0, talk
    assert json.loads(answer)["interrupted"] is False
    assert "(raylet)" in talk
    assert without_attempts(project) == without_attempts(in_one_process)


def test_a_stopped_driver_commits_what_is_done_and_leaves_with_130(
    server: FaultServer, ray_cluster: str, tmp_path: Path
) -> None:
    project = on_cluster(tmp_path / "project", server, ray_cluster, host_delay=0.2)
    with child(__name__, "command_here", str(project.folder), port_of(server)) as process:
        soon(lambda: ended(project, "stored") >= 5)
        process.send_signal(signal.SIGTERM)
        _, talk = process.communicate(timeout=60)
    assert process.returncode == 130, talk
    assert "Traceback" not in talk
    assert ended(project, "pending") > 0
    c = tables.candidates.c
    with database.reading(project.engine) as connection:
        kept = set(connection.scalars(sa.select(c.sha256).where(c.state == "stored")))
    assert kept <= set(project.images)


def test_a_cluster_without_room_is_one_line_and_can_be_stopped_while_it_is_waited_for(
    server: FaultServer, ray_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = on_cluster(tmp_path, server, ray_cluster, workers=3)
    with child(__name__, "command_here", str(project.folder), port_of(server)) as process:
        # Two of three: the third waits for a processor.
        soon(lambda: len(worker_pids()) == 2)
        process.send_signal(signal.SIGINT)
        _, talk = process.communicate(timeout=60)
    assert process.returncode == 130, talk
    assert ended(project, "pending") == len(rows(project)) > 0
    monkeypatch.setattr("imagenet_builder.executors.ray.START_SECONDS", 8.0)
    with pytest.raises(BuilderError, match=r"no room for worker \d of 3: it has 2 processors") as caught:
        crawl(project, sources=[source(server)])
    assert "\n" not in str(caught.value)
    assert server.asked.total() == 0


def test_a_cluster_that_is_not_there_is_one_line_and_costs_no_picture(
    server: FaultServer, tmp_path: Path
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    project = on_cluster(tmp_path, server, nowhere)
    with child(__name__, "command_here", str(project.folder), port_of(server)) as process:
        _, talk = process.communicate(timeout=120)
    assert process.returncode == 1
    assert [line for line in talk.splitlines() if "Error" in line] == [talk.splitlines()[-1]], talk
    assert nowhere in talk.splitlines()[-1]
    assert server.asked.total() == 0
