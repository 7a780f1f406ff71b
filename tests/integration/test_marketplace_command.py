"""`imagenet-builder marketplace …` on a project: invitations by mail, console, studies, copies, erasing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imagenet_builder.cli import command_line


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGENET_BUILDER_MARKETPLACE_MAIL_FOLDER", "mail")
    assert CliRunner().invoke(command_line, ["init", str(tmp_path / "project")]).exit_code == 0
    return tmp_path / "project"


def run(project: Path, *words: str) -> Result:
    return CliRunner().invoke(command_line, ["--project", str(project), "marketplace", *words])


def test_who_has_an_address_is_sent_the_link_and_nobody_else(project: Path) -> None:
    answer = run(project, "invite", "Ada <ada@example.org>", "bo")
    assert answer.exit_code == 0, answer.output
    ada, bo = answer.stdout.splitlines()
    assert ada == "Ada  sent by e-mail"
    assert "/invitation/" in bo
    [letter] = (project / "mail").iterdir()
    assert "To: ada@example.org" in letter.read_text()


def test_a_console_link_and_a_studys_address_are_printed(project: Path) -> None:
    assert "/requester/enter/" in run(project, "console").stdout
    study = (
        "study",
        "add",
        "66f0",
        "--code",
        "C1",
        "--pages",
        "2",
        "--fee",
        "1.29",
        "--minutes",
        "20",
        "--reward",
    )
    assert "PROLIFIC_PID={{%PROLIFIC_PID%}}" in run(project, *study, "3.00").stdout
    assert run(project, *study, "a lot").exit_code == 2
    assert "66f0" in run(project, "study", "list").stdout


def test_a_restored_copy_has_what_was_erased_since(project: Path, tmp_path: Path) -> None:
    run(project, "invite", "Ada")
    copy = str(tmp_path / "copy")
    assert run(project, "backup", copy).exit_code == 0
    assert run(project, "erase", "Ada", "--yes").exit_code == 0
    assert "Ada" not in run(project, "workers", "--json").stdout
    assert run(project, "erase", "Ada", "--yes").exit_code != 0
    assert run(project, "restore", copy, "--yes").exit_code == 0
    assert "Ada" in run(project, "workers", "--json").stdout


def test_masters_are_named_listed_and_unnamed(project: Path) -> None:
    run(project, "invite", "Ada", "Bo")
    assert run(project, "masters").stdout == ""
    [line] = run(project, "masters", "Ada").stdout.splitlines()
    worker_id, name = line.split()
    assert name == "Ada"
    assert run(project, "masters", "Cleo").exit_code != 0
    assert run(project, "masters", "--remove").exit_code == 2
    assert run(project, "masters", worker_id, "--remove").stdout == ""
