"""Scoring as the devkit scores."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builder.errors import TrainingError
from imagenet_builder.export.hierarchy import class_ids, trimmed_hierarchy
from imagenet_builder.export.matlab import synsets_mat
from imagenet_builder.train.evaluate import (
    flat_error,
    flat_errors,
    parse_predictions,
)
from imagenet_builder.train.files import open_files
from imagenet_builder.train.hierarchical import META, hierarchical_errors, read_hierarchy
from tests.real_parts import need
from wordnet_synsets.graph import open_graph
from wordnet_synsets.select import list_wnids

VECTORS = Path(__file__).parent / "vectors" / "evaluation"


def test_the_devkits_own_figures_come_out_for_two_thousand_pictures() -> None:
    truth = [int(line) for line in (VECTORS / "ground_truth.txt").read_text().split()]
    predictions = parse_predictions((VECTORS / "predictions.txt").read_text().splitlines())
    lines = (VECTORS / "expected.tsv").read_text().splitlines()[1:]
    expected = tuple(float(line.split("\t")[1]) for line in lines)
    assert len(expected) == 5
    assert flat_errors(truth, predictions) == pytest.approx(expected, abs=5e-7)


def test_guesses_beyond_the_kth_are_ignored_and_missing_ones_are_wrong() -> None:
    truth = [7, 8, 9]
    predictions = [[1, 7], [8], [1, 2, 3, 4, 5, 9]]
    assert flat_errors(truth, predictions) == pytest.approx((2 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 3))
    assert flat_error(truth, predictions, 6) == 0


def test_arrays_and_lists_score_alike() -> None:
    truth, predictions = [0, 1, 2], [[0, 1], [2, 1], [0, 1]]
    for k in (1, 2, 5):
        assert flat_error(np.array(truth), np.array(predictions), k) == flat_error(truth, predictions, k)


@given(
    st.lists(st.tuples(st.integers(1, 6), st.lists(st.integers(1, 6), max_size=7)), min_size=1, max_size=30)
)
def test_more_guesses_never_raise_the_error(rows: list[tuple[int, list[int]]]) -> None:
    errors = flat_errors([truth for truth, _ in rows], [guesses for _, guesses in rows], 7)
    assert list(errors) == sorted(errors, reverse=True)
    right = sum(truth in guesses for truth, guesses in rows)
    assert errors[-1] == pytest.approx(1 - right / len(rows))


def test_a_blank_line_is_refused_with_its_number() -> None:
    with pytest.raises(TrainingError, match="mine, line 2 is blank"):
        parse_predictions(["1 2", "  ", "3"], "mine")


def test_zero_stands_for_no_guess() -> None:
    assert flat_error([1], parse_predictions(["0 0 1"]), 2) == 1
    assert flat_error([1], parse_predictions(["0 0 1"]), 3) == 0


@pytest.mark.parametrize("line", ["1 x", "1.5", "-3", "1,2", "²", "9" * 30])
def test_what_is_no_class_id_is_refused(line: str) -> None:
    with pytest.raises(TrainingError, match="line 1"):
        parse_predictions([line])


def test_unequal_line_counts_are_refused() -> None:
    with pytest.raises(TrainingError, match="1 lines of predictions for 2 pictures"):
        flat_error([1, 2], [[1]], 1)


def test_nothing_to_score_and_no_guesses_are_refused() -> None:
    with pytest.raises(TrainingError, match="no pictures"):
        flat_error([], [], 1)
    with pytest.raises(TrainingError, match="at least one"):
        flat_error([1], [[1]], 0)


def test_both_errors_are_what_octave_finds_by_the_published_definitions(
    wordnet_folder: Path, tmp_path: Path
) -> None:
    octave = need("octave", shutil.which("octave-cli"))
    nodes = trimmed_hierarchy(open_graph(wordnet_folder), class_ids(list_wnids("ilsvrc2012")), {})
    kit = tmp_path / META
    kit.parent.mkdir(parents=True)
    kit.write_bytes(synsets_mat(nodes))
    files = [VECTORS / "predictions.txt", VECTORS / "ground_truth.txt"]
    done = subprocess.run(
        [octave, "--norc", "--quiet", str(VECTORS / "published.m"), str(kit), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    flat, hierarchical = zip(*(map(float, line.split()) for line in done.stdout.splitlines()), strict=True)
    predictions = parse_predictions(files[0].read_text().splitlines())
    truth = np.array([int(line) for line in files[1].read_text().split()])
    assert flat_errors(truth, predictions) == pytest.approx(flat, abs=1e-8)
    hierarchy = read_hierarchy(open_files(tmp_path))
    assert hierarchy is not None
    assert hierarchical_errors(hierarchy, truth, predictions) == pytest.approx(hierarchical, abs=1e-8)
    assert 19 > hierarchical[0] > hierarchical[4] > 0
