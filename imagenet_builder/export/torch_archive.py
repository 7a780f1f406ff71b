"""Writes values in the format of `torch.save` without torch: a zip with a protocol 2 pickle in it.

Only dictionaries, tuples, lists and strings: that is what torchvision's meta.bin holds, and what `torch.load` reads
with `weights_only=True`.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

# The zip format's own beginning of time: equal values give equal bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)
PICKLE_PROTOCOL = 2


def torch_archive(value: Any) -> bytes:
    """The bytes of a file from which `torch.load(…, weights_only=True)` reads `value`."""
    members = {
        "archive/data.pkl": pickle.dumps(_same_strings(value, {}), protocol=PICKLE_PROTOCOL),
        "archive/byteorder": b"little",
        "archive/version": b"3\n",
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
    return written.getvalue()


def _same_strings(value: Any, seen: dict[str, str]) -> Any:
    # Pickle writes a reference where the same object comes again, not where an equal one does: without this the
    # bytes would depend on which strings happened to be shared in memory.
    if isinstance(value, str):
        return seen.setdefault(value, value)
    if isinstance(value, dict):
        return {_same_strings(key, seen): _same_strings(element, seen) for key, element in value.items()}
    if isinstance(value, list):
        return [_same_strings(element, seen) for element in value]
    if isinstance(value, tuple):
        return tuple(_same_strings(element, seen) for element in value)
    raise TypeError(f"{type(value).__name__} does not belong in meta.bin")
