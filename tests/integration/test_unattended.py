"""aggregate left alone: README's crontab and timer as cron and systemd take them, the files it leaves, compose."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from hits import database
from hits.errors import LockHeld
from hits.model import Answer
from imagenet_builder.aggregate import AGGREGATE_LOCK, aggregate
from imagenet_builder.cli import EXIT_LOCKED
from imagenet_builder.errors import ProjectError
from imagenet_builder.publish import publish
from imagenet_builder.store import tables
from imagenet_builder.watching import watched
from tests.adversity import small_disk
from tests.command import PATIENCE, SCRIPT
from tests.real_parts import free_port, need
from tests.verification_project import DOG, Verification, verification

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def published(tmp_path: Path, wordnet_folder: Path) -> Iterator[Verification]:
    settings: dict[str, object] = {"page_size": 8, "metrics": "figures/aggregate"}
    with verification(tmp_path, wordnet_folder, {DOG: 6}, verification=settings) as made:
        publish(made.project)
        yield made


def crontab_command(folder: Path) -> str:
    """What README gives cron to run, with this machine's places for the reader's."""
    (line,) = re.findall(r"^\*/10 \* \* \* \*  (.+)$", README, re.MULTILINE)
    assert "%" not in line, "cron makes a new line of it"
    return (
        str(line)
        .replace("/home/me/my-dataset", str(folder))
        .replace("/home/me/imagenet-builder/.venv/bin/imagenet-builder", str(SCRIPT))
    )


def as_cron_runs_it(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """As cron runs a line: its own shell and path, nothing else in the environment, no terminal."""
    return subprocess.run(
        ["env", "-i", f"HOME={home}", "SHELL=/bin/sh", "PATH=/usr/bin:/bin", "/bin/sh", "-c", command],
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "aggregate.log").read_text().splitlines()]


def test_the_crontab_line_of_readme_works_in_crons_bare_environment(
    published: Verification, tmp_path: Path
) -> None:
    folder = published.project.folder
    (hit_id,) = published.pages()
    for worker in ("anna", "ben", "cleo"):
        published.submit(worker, hit_id, Answer.YES)
    command = crontab_command(folder)
    for _ in range(2):
        ended = as_cron_runs_it(command, tmp_path)
        # Cron mails whatever is said: nothing is.
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    first, second = logged(folder)
    assert (first["assignments"], first["payments"], first["verdicts_changed"]) == (3, 3, 6)
    assert (second["assignments"], second["payments"], second["verdicts_changed"]) == (0, 0, 0)
    assert published.count(tables.verdicts, tables.verdicts.c.final) == 6


def test_under_cron_failures_and_overlaps_have_their_codes_and_are_json_lines(
    published: Verification, tmp_path: Path
) -> None:
    folder = published.project.folder
    command = crontab_command(folder)
    with database.exclusive_lock(published.project.engine, AGGREGATE_LOCK):
        assert as_cron_runs_it(command, tmp_path).returncode == EXIT_LOCKED
    with database.writing(published.project.engine) as connection:
        connection.execute(tables.hits.update().values(endpoint=f"http://127.0.0.1:{free_port()}"))
    assert as_cron_runs_it(command, tmp_path).returncode == 1
    locked, *_, failed = logged(folder)
    assert (locked["level"], locked["exit_code"]) == ("error", EXIT_LOCKED)
    assert (failed["level"], failed["exit_code"]) == ("error", 1)
    assert "no keys for" in failed["message"]


def figures(path: Path) -> dict[str, float]:
    """A file in Prometheus's text format: metric with its labels → value; every metric is explained and typed."""
    found: dict[str, float] = {}
    explained: set[str] = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            match = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line)
            assert match is not None, line
            explained.add(f"{match[1]} {match[2]}")
            continue
        match = re.fullmatch(r"([a-z_]+)(\{[a-z]+=\"[a-z]+\"\})? (\S+)", line)
        assert match is not None, line
        assert {f"HELP {match[1]}", f"TYPE {match[1]}"} <= explained
        found[match[1] + (match[2] or "")] = float(match[3])
    return found


def test_figures_and_a_heartbeat_tell_of_the_last_run(published: Verification, tmp_path: Path) -> None:
    (hit_id,) = published.pages()
    for worker in ("anna", "ben", "cleo"):
        published.submit(worker, hit_id, Answer.YES)
    path = tmp_path / "figures" / "aggregate"
    clock = iter(
        [NOW, NOW + timedelta(seconds=3), NOW + timedelta(seconds=600), NOW + timedelta(seconds=601)]
    )
    watched(path, lambda: aggregate(published.project), clock=clock.__next__)
    name = "imagenet_builder_aggregate_"
    told = figures(path.with_name("aggregate.prom"))
    assert told[f"{name}last_run_succeeded"] == 1
    assert told[f"{name}duration_seconds"] == 3
    assert (told[f"{name}assignments"], told[f"{name}payments"]) == (3, 3)
    assert told[f'{name}verdicts{{decision="accepted"}}'] == 6
    beat = (NOW + timedelta(seconds=3)).isoformat()
    assert path.with_name("aggregate.heartbeat").read_text() == f"{beat}\n"

    def fails() -> Any:
        raise ProjectError("the marketplace is gone")

    with pytest.raises(ProjectError, match="is gone"):
        watched(path, fails, clock=clock.__next__)
    told = figures(path.with_name("aggregate.prom"))
    assert told[f"{name}last_run_succeeded"] == 0
    assert told[f"{name}last_run_timestamp_seconds"] - told[f"{name}last_success_timestamp_seconds"] == 598
    assert f"{name}assignments" not in told
    assert path.with_name("aggregate.heartbeat").read_text() == f"{beat}\n"


def test_a_run_that_finds_the_lock_held_leaves_the_files_to_the_other(
    published: Verification, tmp_path: Path
) -> None:
    path = tmp_path / "figures" / "aggregate"
    with (
        database.exclusive_lock(published.project.engine, AGGREGATE_LOCK),
        pytest.raises(LockHeld),
    ):
        watched(path, lambda: aggregate(published.project))
    assert not path.parent.exists()


def test_files_that_cannot_be_written_are_one_line(published: Verification, tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(ProjectError, match=r"cannot write .*\[verification\]"):
        watched(tmp_path / "figures" / "aggregate", lambda: aggregate(published.project))


def test_a_run_that_fails_tells_its_own_error_where_its_figures_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> Any:
        raise ProjectError("the marketplace is gone")

    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(ProjectError, match="is gone"):
        watched(tmp_path / "figures" / "aggregate", fails)
    assert "cannot read" in caplog.text
    (tmp_path / "aggregate.heartbeat").write_text("")
    with pytest.raises(ProjectError, match="is gone"):
        watched(tmp_path / "aggregate", fails)
    assert "holds no time" in caplog.text


def test_a_full_disk_is_one_line_and_leaves_no_half_written_figures(
    published: Verification, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, 16):
        with suppress(OSError):
            (disk / "full").write_bytes(bytes(1_000_000))
        with pytest.raises(ProjectError, match="No space left"):
            watched(disk / "aggregate", lambda: aggregate(published.project))
        assert [path.name for path in disk.iterdir()] == ["full"]


def test_the_timer_of_readme_is_one_that_systemd_takes(tmp_path: Path) -> None:
    verifier = need("systemd", shutil.which("systemd-analyze"))
    units = dict(re.findall(r"```ini\n# (imagenet-builder\.\w+)\n(.+?)```", README, re.DOTALL))
    assert sorted(units) == ["imagenet-builder.service", "imagenet-builder.timer"]
    for name, text in units.items():
        there = text.replace("/home/me/my-dataset", str(tmp_path)).replace(
            "/home/me/imagenet-builder/.venv/bin/imagenet-builder", str(SCRIPT)
        )
        (tmp_path / name).write_text(there)
    ended = subprocess.run(
        [verifier, "verify", "--man=no", *(str(tmp_path / name) for name in units)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    complaints = [line for line in ended.stderr.splitlines() if "imagenet-builder" in line]
    assert (ended.returncode, complaints) == (0, []), ended.stderr


def test_compose_takes_the_compose_file_and_it_runs_what_it_should() -> None:
    compose = need("docker-compose", shutil.which("docker-compose"))
    path = REPOSITORY / "docker-compose.yml"
    ended = subprocess.run(
        [compose, "-f", str(path), "config"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=REPOSITORY,
    )
    assert ended.returncode == 0, ended.stderr
    services = yaml.safe_load(ended.stdout)["services"]
    assert set(services) == {"store", "marketplace", "pictures", "proxy", "aggregate"}
    assert services["pictures"]["command"][:2] == ["pictures", "serve"]
    assert services["marketplace"]["command"][:2] == ["marketplace", "serve"]
    assert "aggregate" in " ".join(services["aggregate"]["command"])
    for service in services.values():
        assert service["restart"] == "unless-stopped"
        assert {"max-size", "max-file"} <= service["logging"]["options"].keys()
    # Only the proxy is reached from outside.
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    for name in ("marketplace", "pictures", "aggregate"):
        assert services[name]["environment"]["IMAGENET_BUILDER_STORE_URL"].startswith("postgresql://")
        assert services[name]["depends_on"]["store"] == {"condition": "service_healthy"}


def test_what_compose_asks_tells_whether_the_servers_answer_and_aggregation_runs(
    published: Verification, tmp_path: Path
) -> None:
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for name, port in (("marketplace", 8700), ("pictures", 8701)):
        asks = services[name]["healthcheck"]["test"]
        assert asks[:2] == ["CMD", "python"]
        for there, code in ((urlsplit(published.marketplace.url).port, 0), (free_port(), 1)):
            asked = [sys.executable, *(word.replace(str(port), str(there)) for word in asks[2:])]
            assert subprocess.run(asked, capture_output=True, check=False).returncode == code
    kind, line = services["aggregate"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    heartbeat = tmp_path / "figures" / "aggregate.heartbeat"
    for age, code in ((None, 1), (20, 0), (40, 1)):
        if age is not None:
            heartbeat.parent.mkdir(exist_ok=True)
            heartbeat.touch()
            then = (datetime.now(UTC) - timedelta(minutes=age)).timestamp()
            os.utime(heartbeat, (then, then))
        asked = ["/bin/sh", "-c", line]
        assert subprocess.run(asked, cwd=tmp_path, capture_output=True, check=False).returncode == code


def test_the_proxy_reads_its_file_and_leads_both_names_to_the_servers(tmp_path: Path) -> None:
    caddy = need("caddy", shutil.which("caddy"))
    ended = subprocess.run(
        [caddy, "adapt", "--config", str(REPOSITORY / "tools" / "Caddyfile"), "--adapter", "caddyfile"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={
            "HOME": str(tmp_path),
            "SITE_HOST": "work.example.org",
            "FRAME_HOST": "frame.example.org",
        },
    )
    assert ended.returncode == 0, ended.stderr
    [server] = json.loads(ended.stdout)["apps"]["http"]["servers"].values()
    assert server["listen"] == [":443"]
    hosts = {host for route in server["routes"] for match in route["match"] for host in match["host"]}
    assert hosts == {"work.example.org", "frame.example.org"}
    upstreams = set(re.findall(r'"dial": ?"([^"]+)"', ended.stdout))
    assert upstreams == {"marketplace:8700", "pictures:8701"}
