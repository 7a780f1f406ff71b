"""The README explains every name that an outcome can have, with what the code makes of it."""

from __future__ import annotations

import re
from pathlib import Path

from imagenet_builder.crawl.answers import refused
from imagenet_builder.records import Reason

README = Path(__file__).parents[2] / "README.md"
STATUSES = (400, 401, 403, 404, 408, 410, 416, 418, 429, 451, 500, 502, 503, 504, 599)


def table(state: str) -> dict[str, str]:
    """By reason: the last cell of its row in the README's table of what was `state`."""
    rows = README.read_text(encoding="utf-8").partition(f"| {state} | because |")[2].partition("\n\n")[0]
    cells = [row.strip("|").split("|") for row in rows.splitlines() if row.startswith("| `")]
    return {reason: row[-1].strip() for row in cells for reason in re.findall(r"`([^`]+)`", row[0])}


def test_every_reason_is_explained_once() -> None:
    rejected, failed = table("rejected"), table("failed")
    assert not rejected.keys() & failed.keys()
    assert sorted([*rejected, *failed]) == sorted(Reason)


def test_what_is_said_to_be_tried_again_is() -> None:
    failed = table("failed")
    for status in STATUSES:
        failure = refused(status)
        assert failed[failure.reason] == ("yes" if failure.retryable else "no"), status
