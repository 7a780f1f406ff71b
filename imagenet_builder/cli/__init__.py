"""The command line: one module a command, loaded when it is called for."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from imagenet_builder.project import Project

# Command → what `--help` says of it. The module is named as the command; it holds `command`.
COMMANDS = {
    "init": "Make a project: settings, a store and a folder for images.",
    "doctor": "Check everything a project needs, and say how to mend it.",
    "synsets": "Look WordNet up and choose this project's categories.",
    "crawl": "Search sources and fetch candidate pictures.",
    "candidates": "Show what was found, by category and outcome.",
    "controls": "Make questions whose answer is known.",
    "publish-hits": "Publish verification HITs.",
    "reconcile": "Find HITs again after a crash.",
    "aggregate": "Collect assignments, pay, decide; for cron.",
    "workers": "Show how far each worker can be trusted, and who gets no more work.",
    "consensus": "Decide any table of crowd answers.",
    "export": "Write a release in ILSVRC format.",
    "verify-release": "Check every checksum and count of a release.",
    "diff-release": "Tell what changed from one release to another.",
    "train": "Train a baseline on a release.",
    "evaluate": "Score a submission file against a release.",
    "evaluate-serve": "Serve a leaderboard of the hidden test split.",
    "status": "Show where the project stands.",
    "report": "Write an HTML report of the project.",
    "marketplace": "Run the self-hosted marketplace.",
    "pictures": "Serve only the pictures of HITs.",
    "db": "Migrate the stores.",
    "takedown": "Remove pictures, and keep them out.",
    "gc": "Sweep image bytes that no row names.",
    "demo": "Go the whole way, offline, in minutes.",
}

EXIT_FAILED, EXIT_SHORT, EXIT_LOCKED, EXIT_STOPPED = 1, 3, 75, 130


@dataclass
class Invocation:
    """What the flags before the command said; every command gets it as its click object."""

    project_folder: Path
    verbose: bool = False

    @cached_property
    def project(self) -> Project:
        """The project that the command works on. Raises ProjectError if there is none."""
        from imagenet_builder.project import find_project

        return find_project(self.project_folder)


class CommandGroup(click.Group):
    """A group that imports a command's module only when that command is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # click would import every module for its help line; these lines are at hand.
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--project",
    "project_folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="this folder or one above",
    help="The project folder.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more; show tracebacks.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", help="How to log to stderr."
)
@click.version_option(package_name="imagenet-builder")
@click.pass_context
def command_line(context: click.Context, project_folder: Path, verbose: bool, log_format: str) -> None:
    """Turn a list of WordNet concepts into a labelled image dataset that a stranger can trust.

    Begin with `imagenet-builder demo`, or `imagenet-builder init`.
    """
    from .logs import set_up_logging

    set_up_logging(verbose=verbose, json_lines=log_format == "json")
    context.obj = Invocation(project_folder, verbose)


def main() -> None:
    """Run the command line and leave with its exit code: 0, 1, 2, 3 or 75."""
    # NumPy's matrices here are small: threads on them take many times the CPU of one, most of it waiting.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run(command_line.main))


def run(entry: Callable[..., Any], *arguments: str) -> int:
    """Call a click entry point; errors made for users become one line on stderr and an exit code."""
    from . import logs

    try:
        result = entry(args=list(arguments) or None, prog_name="imagenet-builder", standalone_mode=False)
    except Exception as error:
        if logs.speak_json():
            return _logged(error)
        code = _shown(error)
        if code is None:
            raise
        return code
    return result if isinstance(result, int) else 0


def _shown(error: Exception) -> int | None:
    """Tell people of an error, and return its exit code; None for a defect, whose traceback tells of it."""
    if isinstance(error, click.exceptions.Abort):
        click.echo("stopped", err=True)
        return EXIT_STOPPED
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    code = exit_code(error)
    if code is not None:
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            logging.getLogger(__name__).debug("traceback", exc_info=error)
        click.echo(f"Error: {error}", err=True)
    return code


def _logged(error: Exception) -> int:
    """Tell collectors of an error, whatever it is, in a line of the one kind that they read; its exit code."""
    code: int | None
    if isinstance(error, click.exceptions.Abort):
        code, message = EXIT_STOPPED, "stopped"
    elif isinstance(error, click.ClickException):
        code, message = error.exit_code, error.format_message()
    else:
        code, message = exit_code(error), str(error)
    log = logging.getLogger(__name__)
    is_defect = code is None
    fields = {"exit_code": EXIT_FAILED if code is None else code}
    log.error(
        "%s",
        f"{type(error).__name__}: {message}" if is_defect else message,
        exc_info=error if is_defect or log.isEnabledFor(logging.DEBUG) else None,
        extra={"fields": fields},
    )
    return fields["exit_code"]


def exit_code(error: Exception) -> int | None:
    """The exit code of an error made for users; None for a defect, which keeps its traceback."""
    from hits.errors import HitsError, LockHeld
    from imagenet_builder.errors import BuilderError, ShortOfRequest
    from wordnet_synsets.errors import WordNetError

    if isinstance(error, LockHeld):
        return EXIT_LOCKED
    if isinstance(error, ShortOfRequest):
        return EXIT_SHORT
    if isinstance(error, BuilderError | HitsError | WordNetError):
        return EXIT_FAILED
    if isinstance(error, OSError) and error.errno is not None:
        return EXIT_FAILED
    return None
