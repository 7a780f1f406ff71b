"""Processes of their own that run a function of a test's module."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def child(module: str, function: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that calls `function` of `module` with `arguments`; killed at the end if it is still there."""
    code = f"from {module} import {function}; {function}(*{arguments!r})"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
