"""Recipes: numbers settled for a release, and the learning rate over a run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builder.errors import TrainingError
from imagenet_builder.train.recipe import (
    ARCHITECTURES,
    RECIPES,
    TrainSettings,
    average_decay,
    choose_recipe,
    learning_rate_factor,
    recipe_for,
)


@given(st.sampled_from(ARCHITECTURES), st.sampled_from(RECIPES), st.integers(1, 400))
def test_the_learning_rate_stays_in_its_bounds_and_ends_far_below_its_peak(
    arch: str, name: str, steps: int
) -> None:
    recipe = choose_recipe(name, arch)
    factors = [learning_rate_factor(recipe, step, steps) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    if steps >= 50:
        assert max(factors) > 0.9
        assert factors[-1] < 0.02


def test_classic_divides_the_learning_rate_by_ten_twice() -> None:
    recipe = replace(choose_recipe("classic", "resnet18"), warmup=0.0)
    factors = [learning_rate_factor(recipe, step, 90) for step in range(90)]
    assert factors[:30] == [1.0] * 30
    assert factors[30:60] == pytest.approx([0.1] * 30)
    assert factors[60:] == pytest.approx([0.01] * 30)


def test_the_learning_rate_follows_the_batch() -> None:
    large = recipe_for(TrainSettings(arch="resnet18", batch_size=256), 1_000_000)
    small = recipe_for(TrainSettings(arch="resnet18", batch_size=64), 1_000_000)
    assert large.learning_rate == pytest.approx(0.1)
    assert small.learning_rate == pytest.approx(0.025)
    adam = recipe_for(TrainSettings(arch="resnet18", recipe="modern", batch_size=64), 1_000_000)
    assert adam.learning_rate == pytest.approx(choose_recipe("modern", "resnet18").learning_rate / 2)


def test_a_learning_rate_that_was_asked_for_is_used_as_it_is() -> None:
    settings = TrainSettings(batch_size=8, learning_rate=0.3, finetune=Path("weights.pt"))
    assert recipe_for(settings, 100).learning_rate == 0.3


def test_finetuning_learns_more_slowly() -> None:
    fresh = recipe_for(TrainSettings(arch="resnet50"), 1000)
    tuned = recipe_for(TrainSettings(arch="resnet50", finetune=Path("weights.pt")), 1000)
    assert tuned.learning_rate == pytest.approx(fresh.learning_rate / 10)


@pytest.mark.parametrize(("pictures", "batch"), [(5, 5), (40, 8), (480, 16), (3000, 128), (1_281_167, 256)])
def test_a_small_release_gets_smaller_batches(pictures: int, batch: int) -> None:
    assert recipe_for(TrainSettings(arch="resnet18"), pictures).batch_size == batch


def test_an_asked_for_batch_is_cut_to_the_release() -> None:
    assert recipe_for(TrainSettings(batch_size=512), 30).batch_size == 30
    assert recipe_for(TrainSettings(batch_size=512), 31, processes=2).batch_size == 30


def test_a_small_release_is_spared_the_distortions_made_for_large_ones() -> None:
    settings = TrainSettings(arch="resnet18", recipe="modern")
    small, large = recipe_for(settings, 480), recipe_for(settings, 1_281_167)
    assert large.trivial_augment
    assert large.mixup > 0
    assert not small.trivial_augment
    assert small.mixup == 0
    assert small.hue > large.hue == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (TrainSettings(arch="vgg"), "no architecture 'vgg': choose one of alexnet"),
        (TrainSettings(recipe="magic"), "no recipe 'magic'"),
        (TrainSettings(epochs=0), "0 epochs"),
        (TrainSettings(batch_size=1), "at least 2"),
        (TrainSettings(size=16), "too small"),
        (TrainSettings(learning_rate=0.0), "above 0"),
        (TrainSettings(learning_rate=float("nan")), "above 0"),
    ],
)
def test_settings_that_cannot_be_trained_with_are_refused(settings: TrainSettings, said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        recipe_for(settings, 1000)


def test_processes_share_batches_evenly() -> None:
    assert recipe_for(TrainSettings(), 10_000, processes=3).batch_size % 3 == 0
    with pytest.raises(TrainingError, match="cannot be shared by 3"):
        recipe_for(TrainSettings(batch_size=16), 1000, processes=3)
    with pytest.raises(TrainingError, match="for 3 processes"):
        recipe_for(TrainSettings(), 4, processes=3)


def test_the_average_of_weights_looks_back_a_share_of_the_run() -> None:
    modern = choose_recipe("modern", "resnet18")
    assert average_decay(modern, 10_000) == pytest.approx(1 - 1 / (modern.average_window * 10_000))
    assert 0 < average_decay(modern, 1) < 1
    assert average_decay(choose_recipe("classic", "resnet18"), 10_000) == 0


def test_the_command_and_its_recipes_load_without_torch() -> None:
    code = "import sys, imagenet_builder.cli.train; sys.exit(bool({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
