"""The report of a run, and the curves that the project's report shows."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from imagenet_builder.train.dataset import TrainingRelease, open_release
from imagenet_builder.train.loop import Validation
from imagenet_builder.train.metrics import ClassMetrics, EpochMetrics, Metrics, metrics_from, read_metrics
from imagenet_builder.train.report import (
    curves_svg,
    sample_mistakes,
    split_classes,
    worst_pairs,
    write_report,
)

from ..drawn_release import build_release


def metrics_of(epochs: int) -> Metrics:
    history = tuple(
        EpochMetrics(number, 2.0 / number, 2.1 / number, 0.5, 0.9, 0.1, 40, 2.0, 20.0)
        for number in range(1, epochs + 1)
    )
    return Metrics(
        arch="small",
        parameters=1234567,
        recipe={
            "name": "modern",
            "batch_size": 8,
            "optimiser": "adamw",
            "learning_rate": 0.001,
            "schedule": "cosine",
        }
        | {"weight_decay": 0.05},
        seed=0,
        size=32,
        finetuned_from=None,
        release="first",
        release_digest="ab" * 32,
        classes=6,
        pictures={"train": 12, "val": 12},
        top1=0.5,
        top5=0.9,
        top1_error=0.5,
        top5_error=0.1,
        chance_top1_error=5 / 6,
        chance_top5_error=1 / 6,
        best_epoch=1,
        best_top1=0.5,
        epochs=history,
        per_class=(
            ClassMetrics("n00000011", "disc", 2, 1.0),
            ClassMetrics("n00000055", "<b>cross</b>", 2, 0.0),
        ),
        device="cpu",
        processes=1,
        versions={"torch": "2"},
    )


@pytest.fixture
def release(tmp_path: Path) -> TrainingRelease:
    return open_release(build_release(tmp_path / "release", classes=6, train=2, val=2))


@pytest.fixture
def found() -> Validation:
    """Class 4 is twice taken for class 0, class 1 once for class 2."""
    truth = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    first = np.array([0, 0, 2, 1, 2, 2, 3, 3, 0, 0, 5, 5])
    return Validation(
        loss=1.0,
        index=np.arange(12),
        truth=truth,
        guesses=np.stack([first, np.full(12, 5)], axis=1),
        confidence=np.linspace(0.3, 0.9, 12),
    )


def test_confusions_come_most_frequent_first(release: TrainingRelease, found: Validation) -> None:
    pairs = [
        (pair.truth, pair.guess, pair.count, pair.pictures) for pair in worst_pairs(release.words, found)
    ]
    assert pairs == [("<b>cross</b>", "disc, red disc", 2, 2), ("square", "bar, stripe", 1, 2)]


def test_mistakes_come_surest_first_with_their_pictures(release: TrainingRelease, found: Validation) -> None:
    mistakes = sample_mistakes(release, found)
    names = [mistake.name for mistake in mistakes]
    assert names == [f"ILSVRC2012_val_{n:08d}.JPEG" for n in (10, 9, 3)]
    assert all(mistake.picture.startswith("data:image/jpeg;base64,/9j/") for mistake in mistakes)


def test_the_report_is_self_contained_and_escapes_names(
    release: TrainingRelease, found: Validation, tmp_path: Path
) -> None:
    write_report(tmp_path / "report.html", metrics_of(3), release, found)
    html = (tmp_path / "report.html").read_text()
    assert "&lt;b&gt;cross&lt;/b&gt;" in html
    assert "<b>cross" not in html
    loaded = re.findall(r"""(?:\b(?:src|href)=["']|url\()([^"')]*)""", html)
    assert loaded
    assert all(address.startswith(("data:", "#")) for address in loaded)
    assert "50.0 %" in html
    assert [file.name for file in tmp_path.iterdir() if "report" in file.name] == ["report.html"]


def test_a_run_without_mistakes_has_a_report_too(
    release: TrainingRelease, found: Validation, tmp_path: Path
) -> None:
    perfect = replace(found, guesses=found.truth[:, None])
    write_report(tmp_path / "report.html", metrics_of(1), release, perfect)
    assert "No picture of val was got wrong" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_curves_are_drawn_from_metrics_json_alone(epochs: int) -> None:
    document = json.loads(metrics_of(epochs).to_json())
    svg = curves_svg(document)
    assert svg.startswith("<svg")
    assert ">chance<" in svg
    assert svg == curves_svg(document)


def test_of_many_classes_the_worst_and_the_best_are_shown() -> None:
    classes = tuple(ClassMetrics(f"n{number:08d}", "x", 5, number / 100) for number in range(100))
    worst, best = split_classes(classes)
    assert [one.top1 for one in worst] == [number / 100 for number in range(30)]
    assert [one.top1 for one in best] == [number / 100 for number in range(90, 100)]
    assert split_classes(classes[:40]) == (list(classes[:40]), [])


def test_metrics_survive_their_file(tmp_path: Path) -> None:
    metrics = metrics_of(2)
    assert read_metrics(tmp_path) is None
    (tmp_path / "metrics.json").write_text(metrics.to_json())
    assert read_metrics(tmp_path) == metrics
    assert metrics_from(json.loads(json.dumps(asdict(metrics)))) == metrics
    (tmp_path / "metrics.json").write_text('{"epochs": 3}')
    assert read_metrics(tmp_path) is None
