"""What this machine trains with: device, loader workers, and what to say when its memory is too small."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from imagenet_builder.errors import TrainingError

from .distributed import Share
from .recipe import TrainSettings

MOST_WORKERS = 16


def choose_device(wish: str, share: Share) -> torch.device:
    """The device that `wish` names (`auto`, `cpu`, `cuda`, `cuda:1`); under torchrun each process gets its own GPU.

    Raises TrainingError if it is not there.
    """
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wish)
    except RuntimeError as error:
        raise TrainingError(f"no device {wish!r}: choose auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise TrainingError(f"no device {wish!r}: choose auto, cpu, cuda or cuda:N")
    if device.type == "cpu":
        return device
    index = share.local_rank if device.index is None else device.index
    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        raise TrainingError(
            f"no device {wish!r} here: PyTorch sees {torch.cuda.device_count()} GPUs; use --device cpu"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """What to call the device in a report."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads != 1 else ''}"


def worker_count(settings: TrainSettings, share: Share, device: torch.device, in_memory: bool) -> int:
    """How many processes prepare pictures: those asked for, else what keeps the device busy."""
    cores = len(os.sched_getaffinity(0)) // share.world
    if settings.workers is not None:
        return settings.workers
    if device.type == "cpu" and in_memory:
        return 1 if cores > 1 else 0
    return min(MOST_WORKERS, max(1, cores))


@contextmanager
def own_threads(device: torch.device, share: Share) -> Iterator[None]:
    """Let torch compute on all cores but one, which prepares pictures; a CPU only, unless OMP_NUM_THREADS says else.

    With a thread on every core, any other process on the machine makes all of them wait for the one it displaced:
    measured on two cores, two threads then train ten times slower than one.
    """
    if device.type != "cpu" or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // share.world - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def memory_errors(settings: TrainSettings) -> Iterator[None]:
    """Turn a GPU's exhausted memory into a TrainingError that says what to do."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        asked = f" ({settings.batch_size} was too much)" if settings.batch_size else ""
        raise TrainingError(
            f"the GPU's memory ran out: give a smaller --batch-size{asked} or --size"
        ) from error
