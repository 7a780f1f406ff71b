"""Checkpoints of a run, written so that a kill at any instruction leaves the last whole one."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from imagenet_builder.errors import TrainingError

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
# What torch.load raises for bytes that torch did not save: pickle's machine does whatever they say.
NOT_SAVED = (
    OSError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    struct.error,
    pickle.UnpicklingError,
)


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path`, replacing what is there in one step; raises TrainingError if it cannot be written."""
    # One name for all attempts: what a kill leaves half-written, the next attempt overwrites.
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise TrainingError(
            f"{path} cannot be written ({error.strerror}): free some space or choose --out"
        ) from error


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values as `torch.save` does, in one step."""
    # Through memory: torch reports a full disk as a RuntimeError without errno.
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_whole(path, buffer.getvalue())


def load(run: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The run's last checkpoint, or None if it has none yet.

    Raises TrainingError if it cannot be read, or if it belongs to a run of another `identity`.
    """
    path = run / CHECKPOINT
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        before = dict(state["identity"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NOT_SAVED as error:
        raise TrainingError(
            f"{path} is not a checkpoint of this program: choose another --out, or remove it"
        ) from error
    changed = sorted(name for name in {*before, *identity} if before.get(name) != identity.get(name))
    if changed:
        name = changed[0]
        raise TrainingError(
            f"{run} holds a run with another {name} ({before.get(name)}, now {identity.get(name)}): "
            "choose another --out, or repeat its settings to go on"
        )
    return state
