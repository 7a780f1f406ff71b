"""The offline rehearsal: the whole way from WordNet synsets to a trained baseline, on pictures that it draws.

Everything but the pictures and the crowd is the real program, called as a user calls it: the same commands,
the same marketplace, the same worker site. The folder stays and is an ordinary project.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from hits import database
from hits.model import Answer
from imagenet_builder.controls import record_controls
from imagenet_builder.errors import BuilderError, ProjectError
from imagenet_builder.initialise import initialise
from imagenet_builder.project import Project, find_project
from imagenet_builder.report import Measure, write_report
from imagenet_builder.store.status import Status, read_status
from imagenet_builder.train.metrics import Metrics, read_metrics

from . import stagehands
from .drawing_classes import CLASSES
from .truth import Score, Truth, read_truth_file, score_verdicts, truth_of_questions, write_question_truth

MARKETPLACE_PORT = 8700
CONTROLS_PER_ANSWER = 3
# As cron would call it, only more often.
AGGREGATE_EVERY_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """How large the rehearsal is; the sizes of the release follow from the candidates looked for."""

    classes: int = 12
    per_category: int = 110
    epochs: int = 20
    picture_size: int = 64
    seed: int = 7
    crowd: tuple[str, ...] = (
        "careful",
        "careful",
        "hurried",
        "careful",
        "hurried",
        "careful",
        "always-yes",
        "careful",
    )

    @property
    def files_per_class(self) -> int:
        """What the picture site draws for a class: it offers about twice as many files, half of them wrong."""
        return self.per_category * 6 // 11

    @property
    def held_out(self) -> int:
        """Pictures a class in val, and in test."""
        return max(2, self.per_category // 13)

    @property
    def min_train(self) -> int:
        """Pictures a class that train needs; about half of the candidates are accepted."""
        return max(4, self.per_category // 11)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the rehearsal came to, and how long it took."""

    project: Project
    status: Status
    score: Score
    metrics: Metrics
    report: Path
    seconds: float


def rehearse(folder: Path, plan: DemoPlan, say: Callable[[str], None]) -> DemoResult:
    """Go the whole way in `folder`, which must not be a project yet; `say` prints each command and its output.

    Raises ProjectError for a folder that is in use, CommandFailed when a command fails.
    """
    started = time.monotonic()
    wnids = list(CLASSES)[: plan.classes]
    with ExitStack() as stack:
        stack.enter_context(stagehands.stop_on_termination())
        project, truth_file = _open_stage(stack, folder, plan, wnids, say)
        run = _runner(project.folder, say)
        run(["synsets", "select", *wnids])
        run(["crawl"])
        truth = truth_of_questions(project.engine, read_truth_file(truth_file))
        questions = project.folder / "demo" / "questions.jsonl"
        write_question_truth(questions, truth)
        labelled = _label_controls(project, truth)
        say(
            f"(the requester labels {labelled} controls, as `imagenet-builder controls label` lets one do by hand)"
        )
        run(["publish-hits", "--sandbox"])
        _let_the_crowd_answer(project, plan, questions, run, say)
        training = _export_and_train(plan, run)
        return _result(project, truth, project.folder / training, time.monotonic() - started)


def _result(project: Project, truth: Truth, training: Path, seconds: float) -> DemoResult:
    metrics = read_metrics(training)
    if metrics is None:
        raise BuilderError(f"the training run left no figures in {training}")
    score = score_verdicts(project.engine, truth)
    with database.reading(project.engine) as connection:
        status = read_status(connection)
    report = write_report(
        project,
        project.folder / "report.html",
        now=datetime.now(UTC),
        run=training,
        measures=[
            Measure("precision", percent(score.precision), "of accepted pictures, against what was drawn"),
            Measure("recall", percent(score.recall), "of pictures that show it, of those decided"),
            Measure(
                "top-1 error", percent(metrics.top1_error), f"chance {percent(metrics.chance_top1_error)}"
            ),
            Measure(
                "top-5 error", percent(metrics.top5_error), f"chance {percent(metrics.chance_top5_error)}"
            ),
        ],
    )
    return DemoResult(project, status, score, metrics, report, seconds)


def percent(share: float | None) -> str:
    """`share` as people read it, a dash for None."""
    return "–" if share is None else f"{100 * share:.1f} %"


def _runner(folder: Path, say: Callable[[str], None]) -> Callable[[list[str]], str]:
    def run(arguments: list[str]) -> str:
        return stagehands.run_command(folder, arguments, say)

    return run


def _open_stage(
    stack: ExitStack, folder: Path, plan: DemoPlan, wnids: list[str], say: Callable[[str], None]
) -> tuple[Project, Path]:
    """Start the picture site and the marketplace around a new project; both end with `stack`."""
    if folder.exists() and any(folder.iterdir()):
        raise ProjectError(
            f"{folder} is not empty: the demo makes a new project; name another folder or remove it"
        )
    backstage = folder / "demo"
    backstage.mkdir(parents=True)
    truth_file = backstage / "truth.jsonl"
    site, url = stagehands.start_picture_site(
        port=0,
        seed=plan.seed,
        classes=wnids,
        per_class=plan.files_per_class,
        truth=truth_file,
        log=backstage / "picture-site.log",
    )
    stack.enter_context(stagehands.server(lambda: site))
    say(f"picture site: {url} (offline, in the shape of Wikimedia Commons)")
    port = stagehands.free_port(MARKETPLACE_PORT)
    initialise(folder, _settings(plan, url, port))
    project = find_project(folder)
    log = backstage / "marketplace.log"
    serve = ["marketplace", "serve", "--port", str(port)]
    say(f"$ imagenet-builder {' '.join(serve)} &")
    marketplace = stack.enter_context(
        stagehands.server(lambda: stagehands.start_command(project.folder, serve, log))
    )
    stagehands.wait_for_port(port, marketplace, log)
    return project, truth_file


def _settings(plan: DemoPlan, picture_site: str, port: int) -> str:
    address = urlsplit(picture_site).netloc
    return f"""# The project of `imagenet-builder demo`, an ordinary one (`imagenet-builder init` explains settings).
# The picture site ended with the demo; `python -m imagenet_builder.demo.picture_site --help` says how to start it.

[project]
name = "demo"
contact = "demo@localhost"

[crawl]
sources = ["wikimedia"]
per_category = {plan.per_category}
allow_addresses = ["{address}"]

[wikimedia]
endpoint = "{picture_site.rstrip("/")}/w/api.php"
width = 330

[marketplace]
endpoint = "http://127.0.0.1:{port}"

[export]
val = {plan.held_out}
test = {plan.held_out}
min_train = {plan.min_train}
"""


def _label_controls(project: Project, truth: Truth) -> int:
    """Label a few pictures of each category, as a requester does before the crowd is asked."""
    chosen: list[tuple[str, str, Answer]] = []
    for wnid in sorted({wnid for _, wnid in truth}):
        for answer, wanted in ((Answer.YES, True), (Answer.NO, False)):
            known = sorted(sha256 for (sha256, of), shows in truth.items() if of == wnid and shows is wanted)
            chosen += [(sha256, wnid, answer) for sha256 in known[:CONTROLS_PER_ANSWER]]
    return record_controls(project.engine, chosen, "requester", datetime.now(UTC)).recorded


def _let_the_crowd_answer(
    project: Project,
    plan: DemoPlan,
    questions: Path,
    run: Callable[[list[str]], str],
    say: Callable[[str], None],
) -> None:
    """Simulated workers answer through the worker site while aggregate runs again and again, as from cron."""
    simulate = [
        *("marketplace", "simulate", "--workers", str(len(plan.crowd)), "--profile", ",".join(plan.crowd)),
        *("--truth", str(questions.relative_to(project.folder)), "--seed", str(plan.seed)),
    ]
    say(f"$ imagenet-builder {' '.join(simulate)} &")
    log = project.folder / "demo" / "crowd.log"
    with stagehands.server(lambda: stagehands.start_command(project.folder, simulate, log)) as crowd:
        while crowd.poll() is None:
            time.sleep(AGGREGATE_EVERY_SECONDS)
            run(["aggregate"])
    if crowd.returncode != 0:
        raise BuilderError(f"the simulated crowd failed; see {log}")
    run(["aggregate", "--finalise"])


def _export_and_train(plan: DemoPlan, run: Callable[[list[str]], str]) -> str:
    release, training = "releases/demo", "runs/demo"
    run(["export", "--classes", str(plan.classes), "--out", release])
    run(["verify-release", release])
    run(
        [
            *("train", release, "--arch", "small", "--recipe", "modern", "--size", str(plan.picture_size)),
            *(
                "--batch-size",
                "32",
                "--epochs",
                str(plan.epochs),
                "--seed",
                str(plan.seed),
                "--out",
                training,
            ),
        ]
    )
    return training
