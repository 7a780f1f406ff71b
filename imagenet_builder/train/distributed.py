"""One training run in several processes, as torchrun starts them: who am I, and what did the others see."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

from imagenet_builder.errors import TrainingError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Share:
    """This process's part of the work: `rank` of `world`, the `local_rank`-th on its machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes and prints."""
        return self.rank == 0


def share_from(environment: Mapping[str, str] = os.environ) -> Share:
    """The share that torchrun's RANK, WORLD_SIZE and LOCAL_RANK tell of; a whole one without them."""
    try:
        return Share(
            rank=int(environment.get("RANK", "0")),
            world=int(environment.get("WORLD_SIZE", "1")),
            local_rank=int(environment.get("LOCAL_RANK", "0")),
        )
    except ValueError as error:
        raise TrainingError(
            f"RANK, WORLD_SIZE and LOCAL_RANK must be numbers, as torchrun sets them: {error}"
        ) from error


@contextmanager
def process_group(share: Share, device: torch.device) -> Iterator[None]:
    """Join the other processes for as long as the context lasts; nothing for a single process.

    Call a function inside, which holds the model that learns: what is held when the context ends outlives the group.
    """
    if share.world == 1:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    except BaseException as error:
        _forget_what_they_held(error)
        raise
    finally:
        # A model that outlives the group ends it, which waits for the group's threads while it holds Python's lock;
        # a thread that frees its last tensor waits for that lock, and neither ever ends.
        gc.collect()
        dist.destroy_process_group()


def _forget_what_they_held(error: BaseException | None) -> None:
    """Empty the frames of the error's tracebacks and of those that it comes from: they would keep the model."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """The element-wise sum of `tensor` over all processes."""
    if dist.is_initialized():
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


def gathered(value: Value) -> list[Value]:
    """Every process's `value`, by rank."""
    if not dist.is_initialized():
        return [value]
    values: list[Value | None] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return [one for one in values if one is not None]


def share_buffers(model: torch.nn.Module) -> None:
    """Give every process the leader's buffers: batch norms keep their own statistics in each."""
    if dist.is_initialized():
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)
