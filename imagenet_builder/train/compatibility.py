"""Imports torchvision beside a torch that its compiled half was not built for.

torchvision's wheels are built for CUDA. Beside a CPU-only torch their library of C++ operators cannot load, and the
import of the Python half then fails with "operator torchvision::nms does not exist", because it registers shape rules
for two operators that nothing declared. Declaring the two schemas is enough for models, transforms and datasets; the
detection operators and `torchvision.io` stay unavailable, and nothing here uses them.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from imagenet_builder.errors import TrainingError

ABSENT_OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
HOW_TO_INSTALL = "install it with: pip install 'imagenet-builder[train]'"


@functools.cache
def declared_operators() -> tuple[Any, tuple[str, ...]]:
    """Declare the schemas that torch does not know; returns torch's library object and the names it declared.

    The cache keeps the library object alive: torch forgets a library's operators when the object goes.
    """
    import torch

    absent = tuple(name for name in ABSENT_OPERATORS if not hasattr(torch.ops.torchvision, name))
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in absent:
        library.define(name + SCHEMA)
    return library, absent


@functools.cache
def load_torchvision() -> ModuleType:
    """Import torchvision, declaring the operators it lacks only where its own import fails for want of them.

    Raises TrainingError when torch or torchvision is not installed or is broken in some other way.
    """
    try:
        import torch  # noqa: F401  (its absence deserves its own message)
    except ImportError as error:
        raise TrainingError(
            f"training needs PyTorch, which is not here ({error}): {HOW_TO_INSTALL}"
        ) from error
    try:
        return _import_torchvision()
    except ImportError as error:
        raise TrainingError(f"training needs torchvision ({error}): {HOW_TO_INSTALL}") from error
    except RuntimeError as error:
        if not any(f"operator torchvision::{name} does not exist" in str(error) for name in ABSENT_OPERATORS):
            raise TrainingError(
                f"torchvision does not fit this PyTorch ({error}): {HOW_TO_INSTALL}"
            ) from error
    declared_operators()
    return _import_torchvision()


def _import_torchvision() -> ModuleType:
    import torchvision

    module: ModuleType = torchvision
    return module
