"""The command line as a whole: help, exit codes, one-line errors, cheap imports."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest

from hits.errors import DatabaseError, LockHeld
from imagenet_builder.cli import (
    COMMANDS,
    EXIT_FAILED,
    EXIT_LOCKED,
    EXIT_STOPPED,
    command_line,
    exit_code,
    run,
)
from imagenet_builder.cli.logs import set_up_logging
from imagenet_builder.errors import BuilderError, ProjectError, ShortOfRequest
from wordnet_synsets.errors import UnknownSynset

HEAVY = (
    "torch",
    "pandas",
    "numpy",
    "ray",
    "alembic",
    "boto3",
    "aiohttp",
    "sqlalchemy",
    "PIL",
    "nltk",
    "requests",
)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found.extend(commands(command, (*path, name)))
    return found


def test_every_command_explains_itself_and_shows_an_example() -> None:
    for path, command in commands(command_line):
        assert "Example" in (command.help or ""), path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)


def test_lists_of_commands_are_not_cut_off_on_eighty_columns() -> None:
    for path, command in commands(command_line):
        if isinstance(command, click.Group):
            shown = command.get_help(click.Context(command, info_name=path[-1], terminal_width=78))
            assert "..." not in shown.partition("Commands:")[2], path


def test_the_list_of_commands_and_the_modules_agree() -> None:
    assert [path[0] for path, _ in commands(command_line) if len(path) == 1] == list(COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from imagenet_builder.cli import command_line, run\n"
        "run(command_line.main, '--help')\n"
        f"heavy = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_command_module_imports_anything_heavy() -> None:
    program = (
        "import sys, click\n"
        "from imagenet_builder.cli import COMMANDS, command_line\n"
        "for name in COMMANDS: command_line.get_command(click.Context(command_line), name)\n"
        f"heavy = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_small_matrices_are_not_shared_out_among_threads() -> None:
    program = (
        "import os, sys\n"
        "from imagenet_builder import cli\n"
        "sys.argv = ['imagenet-builder', '--version']\n"
        "try: cli.main()\n"
        "except SystemExit: import numpy\n"
        "sys.exit(len(os.listdir('/proc/self/task')) - 1)\n"
    )
    usual = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", program], env=usual, check=False)
    assert done.returncode == 0, "threads beside the main one"


def test_what_fetches_imports_no_decoder_and_no_client_of_apis() -> None:
    program = (
        "import sys, imagenet_builder.crawl.crawl, imagenet_builder.crawl.gather, imagenet_builder.sources.url_list\n"
        "sys.exit(', '.join(sorted({'numpy', 'PIL', 'simplejpeg', 'aiohttp'} & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BuilderError("x"), 1),
        (DatabaseError("x"), 1),
        (UnknownSynset("x"), 1),
        (ShortOfRequest("x"), 3),
        (LockHeld("x"), 75),
        (FileNotFoundError(2, "No such file"), 1),
        (ZeroDivisionError("a defect"), None),
    ],
)
def test_exit_codes(error: Exception, code: int | None) -> None:
    assert exit_code(error) == code


def test_an_error_is_one_line_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(command_line.main, "--project", str(tmp_path), "status")
    captured = capsys.readouterr()
    assert code == 1
    assert captured.out == ""
    assert captured.err.startswith("Error: no imagenet-builder.toml in ")
    assert captured.err.count("\n") == 1


def test_verbose_adds_the_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "imagenet_builder", "-v", "--project", str(tmp_path), "status"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("arguments", [("--nonsense",), ("nonsense",), ("status", "--nonsense")])
def test_wrong_usage_leaves_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command_line.main, *arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (ProjectError("no project here"), EXIT_FAILED, "no project here"),
        (LockHeld("another run"), EXIT_LOCKED, "another run"),
        (click.UsageError("no such option"), 2, "no such option"),
        (click.exceptions.Abort(), EXIT_STOPPED, "stopped"),
        (KeyError("HITId"), EXIT_FAILED, "KeyError: 'HITId'"),
    ],
)
def test_for_collectors_whatever_ends_a_command_is_one_json_line(
    capsys: pytest.CaptureFixture[str], raised: Exception, code: int, message: str
) -> None:
    @click.command()
    def failing() -> None:
        set_up_logging(verbose=False, json_lines=True)
        warnings.warn("not to be read by people", UserWarning, stacklevel=1)
        raise raised

    before = logging.getLogger().handlers[:]
    try:
        assert run(failing.main, "--") == code
    finally:
        logging.getLogger().handlers[:] = before
        logging.captureWarnings(False)
    warned, ended = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert "not to be read by people" in warned["message"]
    assert (ended["level"], ended["exit_code"], ended["message"]) == ("error", code, message)
    # A defect keeps its traceback.
    assert ("traceback" in ended) == isinstance(raised, KeyError)
