"""A crawl on a Ray cluster of two nodes, with its rows in PostgreSQL and its pictures in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.errors import ProjectError
from imagenet_builder.project import Project
from tests.fault_server import FaultServer
from tests.many_hosts import in_one_process, project_for, rows, server, source
from tests.ray_parts import cluster_of_two_nodes
from tests.s3_servers import S3Server, new_bucket

__all__ = ["in_one_process", "server"]


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[str]:
    with cluster_of_two_nodes() as address:
        yield address


def test_two_nodes_with_postgresql_and_s3_end_as_one_process_does(
    server: FaultServer,
    in_one_process: Project,
    two_nodes: str,
    postgres_url: str,
    moto_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The nodes were started without the keys of the bucket: these come with the work.
    bucket = new_bucket(moto_server, monkeypatch)
    project = project_for(
        tmp_path / "project",
        server,
        "ray",
        sections={"store": {"url": postgres_url}, "images": {"url": bucket}, "ray": {"address": two_nodes}},
        per_host=1,
    )
    crawl(project, sources=[source(server)])
    assert rows(project) == rows(in_one_process)
    assert set(project.images) == set(in_one_process.images)
    assert set(server.most_at_once.values()) == {1}


def test_places_that_only_one_machine_has_are_refused_before_anything_is_fetched(
    server: FaultServer,
    two_nodes: str,
    moto_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sections: dict[str, Any] = {"ray": {"address": two_nodes}}
    with pytest.raises(ProjectError, match=r"2 machines, and they do not share the folder .*\[images\]"):
        crawl(project_for(tmp_path / "a", server, "ray", sections=sections), sources=[source(server)])
    sections["images"] = {"url": new_bucket(moto_server, monkeypatch)}
    with pytest.raises(ProjectError, match=r"2 machines: .* needs PostgreSQL; set \[store\] url"):
        crawl(project_for(tmp_path / "b", server, "ray", sections=sections), sources=[source(server)])
    assert server.asked.total() == 0
