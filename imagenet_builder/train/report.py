"""The HTML report of a training run: one self-contained file with curves, classes, confusions and mistakes."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .dataset import TrainingRelease
    from .loop import Validation
    from .metrics import ClassMetrics, Metrics

WORST_CLASSES, BEST_CLASSES = 30, 10
WORST_PAIRS = 15
MISTAKES = 21
THUMBNAIL_SIDE = 112
INK, SOFT, GRID = "#1c2330", "#5b6474", "#dde2ea"
TRAINED, MEASURED, SECOND = "#2456a6", "#b3372c", "#1d7a4f"


@dataclass(frozen=True)
class Confusion:
    """Two classes: how many val pictures of the first were taken for the second, of how many."""

    truth: str
    guess: str
    count: int
    pictures: int


@dataclass(frozen=True)
class Mistake:
    """A val picture that was got wrong: its file's name, both labels, the model's probability, a data: URL."""

    name: str
    truth: str
    guess: str
    confidence: float
    picture: str


def write_report(out: Path, metrics: Metrics, release: TrainingRelease, found: Validation) -> None:
    """Write the report of a run to `out`, renamed into place. Raises TrainingError if it cannot be written."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from .checkpoint import write_whole

    environment = Environment(
        loader=PackageLoader("imagenet_builder", "templates"), autoescape=True, undefined=StrictUndefined
    )
    worst, best = split_classes(metrics.per_class)
    html = environment.get_template("train_report.html").render(
        metrics=metrics,
        curves=curves_svg(asdict(metrics)),
        seconds=sum(epoch.seconds for epoch in metrics.epochs),
        worst=worst,
        best=best,
        confusions=worst_pairs(release.words, found),
        mistakes=sample_mistakes(release, found),
    )
    write_whole(out, html.encode())


def curves_svg(metrics: Mapping[str, Any]) -> str:
    """Loss and accuracy by epoch, as an inline SVG element, from the document in a run's metrics.json."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    epochs = metrics["epochs"]
    numbers = [epoch["epoch"] for epoch in epochs]
    # Text stays text, in the page's own font; a fixed salt makes equal runs give equal files.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "curves", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9.6, 3.2), layout="constrained")
        loss, accuracy = figure.subplots(1, 2)
        _curve(loss, numbers, [epoch["train_loss"] for epoch in epochs], "train", TRAINED)
        _curve(loss, numbers, [epoch["val_loss"] for epoch in epochs], "val", MEASURED)
        _dress(loss, "loss (nats)", numbers)
        _curve(accuracy, numbers, [100 * epoch["top1"] for epoch in epochs], "top-1", MEASURED)
        _curve(accuracy, numbers, [100 * epoch["top5"] for epoch in epochs], "top-5", SECOND)
        chance = 100 * (1 - metrics["chance_top1_error"])
        accuracy.axhline(chance, color=SOFT, linestyle=":", linewidth=1.2, label="chance")
        accuracy.set_ylim(0, 102)
        _dress(accuracy, "right on val (%)", numbers)
        written = io.StringIO()
        FigureCanvasSVG(figure).print_svg(written, metadata={"Date": None})
    svg = written.getvalue()
    return svg[svg.index("<svg") :]


def _curve(axes: Axes, numbers: list[int], values: list[float], label: str, colour: str) -> None:
    # A single epoch is a point: a line of one would not show.
    marker = "o" if len(numbers) < 12 else ""
    axes.plot(numbers, values, label=label, color=colour, linewidth=1.8, marker=marker, markersize=4)


def _dress(axes: Axes, title: str, numbers: list[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=8)
    axes.set_xlabel("epoch", color=SOFT, fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
    axes.grid(color=GRID, linewidth=0.8)
    axes.tick_params(colors=SOFT, labelsize=9, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    # Beside the title, where it covers no curve.
    axes.legend(
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        ncols=3,
        loc="lower right",
        bbox_to_anchor=(1, 0.99),
        borderpad=0,
    )


def split_classes(classes: tuple[ClassMetrics, ...]) -> tuple[list[ClassMetrics], list[ClassMetrics]]:
    """All classes from the worst to the best; of many only the worst ones, and the best ones apart."""
    ordered = sorted((one for one in classes if one.pictures), key=lambda one: (one.top1, one.wnid))
    if len(ordered) <= WORST_CLASSES + BEST_CLASSES:
        return ordered, []
    return ordered[:WORST_CLASSES], ordered[-BEST_CLASSES:]


def worst_pairs(words: tuple[str, ...], found: Validation) -> list[Confusion]:
    """The most frequent confusions, most frequent first."""
    pictures = Counter(found.truth.tolist())
    first_guesses = found.guesses[:, 0].tolist()
    confused = Counter(
        (truth, guess)
        for truth, guess in zip(found.truth.tolist(), first_guesses, strict=True)
        if truth != guess
    )
    ranked = sorted(confused.items(), key=lambda pair: (-pair[1], pair[0]))[:WORST_PAIRS]
    return [Confusion(words[truth], words[guess], count, pictures[truth]) for (truth, guess), count in ranked]


def sample_mistakes(release: TrainingRelease, found: Validation) -> list[Mistake]:
    """The wrong answers that the model was surest of, surest first: wrong labels are found among these."""
    wrong = (found.guesses[:, 0] != found.truth).nonzero()[0]
    surest = sorted(wrong.tolist(), key=lambda row: (-found.confidence[row], row))[:MISTAKES]
    return [
        Mistake(
            name=release.val[found.index[row]].path.name,
            truth=release.words[found.truth[row]],
            guess=release.words[found.guesses[row, 0]],
            confidence=float(found.confidence[row]),
            picture=_thumbnail(release.source(release.val[found.index[row]])),
        )
        for row in surest
    ]


def _thumbnail(source: Path | bytes) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode()
