"""The test that people take before they get a project's pages, where the settings name one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from .errors import ProjectError

if TYPE_CHECKING:
    from hits.requester import Requester

    from .project import Project

TEST_SECONDS = 3600


def required_qualifications(project: Project, requester: Requester) -> tuple[tuple[str, int], ...]:
    """The qualification that a page asks for, with its least value; none without `[verification] entrance_test`.

    It is made at the marketplace the first time. Another test is another qualification: who passed the old one has not
    passed it. Raises ProjectError for files that cannot be read, RequestRefused for a test that cannot be.
    """
    settings = project.settings.verification
    if not settings.entrance_test:
        return ()
    if not settings.entrance_answers:
        raise ProjectError("[verification] entrance_test needs entrance_answers, the file of its AnswerKey")
    test = _read(project, "entrance_test", settings.entrance_test)
    answers = _read(project, "entrance_answers", settings.entrance_answers)
    fingerprint = hashlib.sha256(f"{test}\x00{answers}".encode()).hexdigest()[:12]
    name = f"{project.settings.project.name[:120]}: entrance test {fingerprint}"
    description = "A short test of what counts on this project's pages. It can be taken once."
    type_id = requester.qualification_test(name, description, test, answers, TEST_SECONDS)
    return ((type_id, settings.entrance_score),)


def _read(project: Project, setting: str, name: str) -> str:
    path = project.folder / name
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"[verification] {setting}: cannot read {path}: {error}") from error
