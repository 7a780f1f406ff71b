"""Baselines trained for real on a tiny drawn release, through unmodified torchvision."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from imagenet_builder.cli import command_line, run  # noqa: E402
from imagenet_builder.errors import ReleaseError, TrainingError  # noqa: E402
from imagenet_builder.train import dataset, recipe  # noqa: E402
from imagenet_builder.train.baseline import train_release  # noqa: E402
from imagenet_builder.train.compatibility import load_torchvision  # noqa: E402
from imagenet_builder.train.metrics import Metrics  # noqa: E402
from imagenet_builder.train.recipe import TrainSettings  # noqa: E402

from ..drawn_release import build_release  # noqa: E402

QUICK = TrainSettings(
    arch="small", size=32, epochs=3, batch_size=8, learning_rate=0.01, device="cpu", workers=0
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_release(tmp_path_factory.mktemp("drawn") / "release", classes=6, train=24, val=8)


def lasting(metrics: Metrics) -> dict[str, Any]:
    """The metrics without what depends on how busy the machine was."""
    document = dataclasses.asdict(metrics)
    for epoch in document["epochs"]:
        del epoch["seconds"], epoch["pictures_per_second"]
    return document


def weights(run_folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run_folder / "checkpoint.pt", weights_only=True)
    return {
        **state["model"],
        **{f"average.{name}": tensor for name, tensor in (state["average"] or {}).items()},
    }


def test_the_drawn_release_is_one_that_torchvisions_imagenet_reads(release: Path) -> None:
    reader = load_torchvision().datasets.ImageNet(release, "val")
    assert len(reader) == 48
    assert reader.classes[0] == ("disc", "red disc")


def test_a_few_epochs_beat_chance_by_far_and_everything_is_written(release: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    steps: list[tuple[str, int, int]] = []
    metrics = train_release(
        release, tmp_path / "run", QUICK, advance=lambda *step: steps.append(step), say=lines.append
    )
    assert metrics.top1 > 0.6
    assert metrics.top5 >= metrics.top1
    assert metrics.chance_top1_error == pytest.approx(5 / 6)
    assert metrics.chance_top5_error == pytest.approx(1 / 6)
    assert metrics.pictures == {"train": 144, "val": 48}
    assert [epoch.pictures for epoch in metrics.epochs] == [144] * 3
    assert sum(one.top1 * one.pictures for one in metrics.per_class) == pytest.approx(metrics.top1 * 48)
    assert len(lines) == 3
    assert ("training", 54, 54) in steps
    assert {file.name for file in (tmp_path / "run").iterdir()} == {
        "metrics.json",
        "report.html",
        "checkpoint.pt",
        "best.pt",
    }
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["top1_error"] == 1 - metrics.top1

    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "run").iterdir()}
    assert train_release(release, tmp_path / "run", QUICK, say=lines.append) == metrics
    assert "nothing to do" in lines[-1]
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "run").iterdir()} == before

    with pytest.raises(TrainingError, match="another epochs \\(3, now 4\\): choose another --out"):
        train_release(release, tmp_path / "run", dataclasses.replace(QUICK, epochs=4))

    tuned = dataclasses.replace(QUICK, epochs=1, learning_rate=1e-5, finetune=tmp_path / "run" / "best.pt")
    assert train_release(release, tmp_path / "tuned", tuned).top1 > 0.6


def test_a_report_that_was_not_written_yet_is_written_without_training_again(
    release: Path, tmp_path: Path
) -> None:
    once = dataclasses.replace(QUICK, epochs=1)
    metrics = train_release(release, tmp_path / "run", once)
    (tmp_path / "run" / "metrics.json").unlink()
    (tmp_path / "run" / "report.html").unlink()
    again = train_release(
        release, tmp_path / "run", once, advance=lambda stage, *_: _never("training", stage)
    )
    assert again == metrics
    assert (tmp_path / "run" / "report.html").is_file()


def _never(what: str, stage: str) -> None:
    assert not stage.startswith(what), stage


def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(release: Path, tmp_path: Path) -> None:
    # AlexNet for its dropout, modern for its moving average: both must be where they were.
    settings = TrainSettings(
        arch="alexnet", recipe="modern", size=32, epochs=6, batch_size=16, device="cpu", workers=0, seed=5
    )
    undisturbed = train_release(release, tmp_path / "undisturbed", settings)
    options = "--arch alexnet --recipe modern --size 32 --epochs 6 --batch-size 16 --device cpu --workers 0 --seed 5"
    out = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "imagenet_builder",
        "train",
        str(release),
        *options.split(),
        "--out",
        str(out),
    ]
    with (tmp_path / "said").open("w") as said, subprocess.Popen(command, stderr=said, stdout=said) as child:
        while not (tmp_path / "killed" / "checkpoint.pt").exists() and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL, (tmp_path / "said").read_text()
    assert not (tmp_path / "killed" / "metrics.json").exists()

    lines: list[str] = []
    resumed = train_release(release, tmp_path / "killed", settings, say=lines.append)
    assert lines[0].startswith("going on after epoch")
    assert lasting(resumed) == lasting(undisturbed)
    expected, found = weights(tmp_path / "undisturbed"), weights(tmp_path / "killed")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_workers_and_memory_change_no_figure(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = dataclasses.replace(QUICK, epochs=1)
    held = train_release(release, tmp_path / "held", once)
    monkeypatch.setattr(dataset, "HELD_IN_MEMORY_BYTES", 0)
    read = train_release(release, tmp_path / "read", dataclasses.replace(once, workers=2))
    assert lasting(read) == lasting(held)


def test_a_large_releases_modern_recipe_trains(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "SMALL_RELEASE", 0)
    metrics = train_release(release, tmp_path / "run", dataclasses.replace(QUICK, recipe="modern", epochs=1))
    assert metrics.recipe["mixup"] > 0
    assert metrics.recipe["trivial_augment"]
    assert metrics.epochs[0].train_loss > 0


def test_top_5_of_fewer_classes_is_always_right(tmp_path: Path) -> None:
    folder = build_release(tmp_path / "release", classes=3, train=4, val=2)
    metrics = train_release(folder, tmp_path / "run", dataclasses.replace(QUICK, epochs=1, batch_size=4))
    assert metrics.top5_error == 0
    assert metrics.chance_top5_error == 0


@pytest.mark.parametrize("arch", ["alexnet", "resnet18"])
def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_checkpoint(
    release: Path, tmp_path: Path, arch: str
) -> None:
    hot = dataclasses.replace(QUICK, arch=arch, learning_rate=1e30)
    with pytest.raises(
        TrainingError, match=r"diverged in epoch 1: .* lower --learning-rate \(it was 1e\+30\)"
    ):
        train_release(release, tmp_path / "run", hot)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("held", [True, False])
def test_a_damaged_picture_ends_the_run_with_its_name(
    tmp_path: Path, workers: int, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_release(tmp_path / "release", classes=2, train=8, val=2)
    damaged = folder / "val" / "n00000022" / "ILSVRC2012_val_00000004.JPEG"
    damaged.write_bytes(b"\xff\xd8 not much of a picture")
    if not held:
        monkeypatch.setattr(dataset, "HELD_IN_MEMORY_BYTES", 0)
    with pytest.raises(ReleaseError, match=r"ILSVRC2012_val_00000004.JPEG cannot be decoded") as caught:
        train_release(folder, tmp_path / "run", dataclasses.replace(QUICK, workers=workers))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_is_none_is_refused(release: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_text("nothing")
    with pytest.raises(TrainingError, match=r"checkpoint.pt is not a checkpoint"):
        train_release(release, tmp_path, QUICK)


def test_a_folder_that_cannot_be_made_is_one_line(release: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"run cannot be made \(.*\): choose another --out"):
        train_release(release, tmp_path / "file" / "run", QUICK)


def test_a_checkpoint_that_cannot_be_written_whole_leaves_nothing_half_written(
    release: Path, tmp_path: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(TrainingError, match=r"best.pt cannot be written \(File too large\)"):
            train_release(release, tmp_path / "run", QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "run").iterdir()) == []


def in_two_processes(*program: str | Path) -> subprocess.CompletedProcess[str]:
    # Standalone: torchrun picks the port itself.
    command = [
        *(sys.executable, *["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]),
        *("--nproc-per-node", "2", *map(str, program)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, process_group=0
    ) as launched:
        try:
            said, errors = launched.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            # torchrun gives its processes sessions of their own, and ends them when it is asked to.
            launched.terminate()
            said, errors = launched.communicate()
            pytest.fail(f"two processes never ended: {said} {errors}")
    return subprocess.CompletedProcess(command, launched.returncode, said, errors)


def test_two_processes_learn_from_as_many_pictures_as_one(release: Path, tmp_path: Path) -> None:
    alone = train_release(release, tmp_path / "alone", dataclasses.replace(QUICK, epochs=2))
    options = "--arch small --size 32 --epochs 2 --batch-size 8 --learning-rate 0.01 --device cpu --workers 0 --json"
    done = in_two_processes(
        *(
            "-m",
            "imagenet_builder",
            "train",
            str(release),
            *options.split(),
            "--out",
            str(tmp_path / "shared"),
        )
    )
    assert done.returncode == 0, done.stderr
    shared = json.loads(done.stdout)
    assert shared["processes"] == 2
    assert [epoch["pictures"] for epoch in shared["epochs"]] == [epoch.pictures for epoch in alone.epochs]
    assert [one["pictures"] for one in shared["per_class"]] == [one.pictures for one in alone.per_class]
    assert shared["recipe"]["learning_rate"] == alone.recipe["learning_rate"]
    assert shared["top1"] > 0.5
    assert json.loads((tmp_path / "shared" / "metrics.json").read_text()) == shared


LOOKS_BACK = """
import gc, sys
from pathlib import Path

import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from imagenet_builder.errors import TrainingError
from imagenet_builder.train.baseline import train_release
from imagenet_builder.train.recipe import TrainSettings

end = dist.destroy_process_group


def look_and_end():
    models = sum(isinstance(one, DistributedDataParallel) for one in gc.get_objects())
    sys.stdout.write(f"models {models}\\n")
    end()


dist.destroy_process_group = look_and_end
settings = TrainSettings(
    arch="small", size=32, epochs=1, batch_size=8, learning_rate=float(sys.argv[3]), device="cpu", workers=0
)
try:
    train_release(Path(sys.argv[1]), Path(sys.argv[2]), settings)
except TrainingError as error:
    sys.stdout.write(f"refused {error}\\n")
"""


@pytest.mark.parametrize(("rate", "refusals"), [("0.01", 0), ("1e30", 2)])
def test_no_model_outlives_the_group_of_processes_which_could_wait_for_it_for_ever(
    rate: str, refusals: int, release: Path, tmp_path: Path
) -> None:
    program = tmp_path / "looks_back.py"
    program.write_text(LOOKS_BACK)
    done = in_two_processes(program, release, tmp_path / "run", rate)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("models 0") == 2, done.stdout
    assert done.stdout.count("refused training diverged") == refusals, done.stdout


ARGUMENTS = ("--arch", "small", "--size", "32", "--epochs", "1", "--device", "cpu", "--workers", "0")


def test_falling_short_of_the_expected_accuracy_is_exit_code_3(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    assert (
        run(command_line.main, "train", str(release), *ARGUMENTS, "--out", out, "--expect-top1", "1.0") == 3
    )
    said = capsys.readouterr()
    assert "chance" in said.out
    assert "epoch 1/1" in said.err
    assert "short of the 1 that was expected" in said.err.splitlines()[-1]
    assert (
        run(command_line.main, "train", str(release), *ARGUMENTS, "--out", out, "--expect-top1", "0.0") == 0
    )
    capsys.readouterr()
    assert run(command_line.main, "train", str(release), *ARGUMENTS, "--out", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["classes"] == 6


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere"], 1, "nowhere is not a release"),
        (["RELEASE", "--device", "cuda:99"], 1, "no device 'cuda:99' here"),
        (["RELEASE", "--device", "abacus"], 1, "choose auto, cpu, cuda or cuda:N"),
        (["RELEASE", "--finetune", "absent.pt"], 1, "no weights at absent.pt"),
        (["RELEASE", "--arch", "vgg"], 2, "'vgg' is not one of"),
        (["RELEASE", "--expect-top1", "76"], 2, "0<=x<=1"),
    ],
)
def test_wrong_use_is_one_line_and_the_right_code(
    release: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    words = [str(release) if word == "RELEASE" else word for word in arguments]
    assert run(command_line.main, "train", *words, "--out", str(tmp_path / "run")) == code
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.gpu
def test_a_gpu_trains_as_well_as_a_cpu(release: Path, tmp_path: Path) -> None:
    metrics = train_release(release, tmp_path / "run", dataclasses.replace(QUICK, device="cuda", workers=2))
    assert metrics.top1 > 0.6
    assert not metrics.device.startswith("cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("arch", ["alexnet", "resnet50"])
@pytest.mark.parametrize("name", ["classic", "modern"])
def test_full_size_recipes_run_on_a_gpu(release: Path, tmp_path: Path, arch: str, name: str) -> None:
    settings = TrainSettings(arch=arch, recipe=name, epochs=1, device="cuda", workers=2)
    assert train_release(release, tmp_path / "run", settings).epochs[0].train_loss > 0
