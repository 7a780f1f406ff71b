"""Fixtures that several test files share. Real servers start once a test run and stop with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from . import ray_parts, real_parts, s3_servers

# A test says nothing of time: a busy machine is not a defect.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL cluster for this test process; the value is its maintenance database's URL."""
    with real_parts.postgres_cluster() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    with real_parts.fresh_postgres_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, on each of the two engines."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite3'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def wordnet_folder() -> Path:
    """The folder with WordNet 3.0's data.noun."""
    return real_parts.need("wordnet-base", real_parts.wordnet_folder())


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium that Playwright can drive."""
    return real_parts.need("chromium", real_parts.chromium_path())


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[str]:
    """A Ray cluster of this machine alone, which this process is connected to; the value is its address."""
    with ray_parts.cluster_of_this_machine(processors=2) as address:
        yield address


@pytest.fixture(scope="session")
def moto_server() -> Iterator[s3_servers.S3Server]:
    """An S3 server that covers all of the protocol and lets in everybody."""
    with s3_servers.moto_server() as server:
        yield server


@pytest.fixture
def moto_keys(moto_server: s3_servers.S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a process that may use the S3 server of `moto_server`."""
    import boto3

    s3_servers.use_server(moto_server, monkeypatch)
    # The default session keeps the first keys that it found.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture(scope="session")
def swift_server() -> Iterator[s3_servers.S3Server]:
    """An S3 server that checks signatures and digests."""
    with s3_servers.swift_server() as server:
        yield server
