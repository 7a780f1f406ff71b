"""Writes the devkit's meta.mat: a MATLAB 5 file (MAT-File Format, R2016b) with one compressed struct array.

SciPy's own writer stores every number either as a double, which readers then get as a float that cannot index, or
under an integer class, which is not what MATLAB code expects. MATLAB itself keeps the class double and stores whole
numbers in the smallest integer type that holds them; so does this.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from .description import Node

# Data types of elements and classes of arrays, by the names of the format's documentation.
MI_INT8, MI_UINT8, MI_UINT16, MI_INT32, MI_UINT32 = 1, 2, 4, 5, 6
MI_MATRIX, MI_COMPRESSED, MI_UTF8 = 14, 15, 16
MX_STRUCT_CLASS, MX_CHAR_CLASS, MX_DOUBLE_CLASS = 2, 4, 6
FIELD_NAME_LENGTH = 32
# The header's 116 bytes of text; MATLAB writes a date here, which would make equal releases differ.
HEADER_TEXT = b"MATLAB 5.0 MAT-file, Platform: GLNXA64, Created by: imagenet-builder"
VARIABLE = "synsets"
FIELDS = (
    "ILSVRC2012_ID",
    "WNID",
    "words",
    "gloss",
    "num_children",
    "children",
    "wordnet_height",
    "num_train_images",
)


def synsets_mat(nodes: Sequence[Node]) -> bytes:
    """The bytes of meta.mat with the variable `synsets`, an N×1 struct array of `nodes` in their order."""
    array = _struct_array(VARIABLE, FIELDS, [_fields_of(node) for node in nodes])
    compressed = zlib.compress(array, 9)
    header = HEADER_TEXT.ljust(116) + bytes(8) + struct.pack("<H", 0x0100) + b"IM"
    # A compressed element is the only one that is not padded to eight bytes.
    return header + struct.pack("<II", MI_COMPRESSED, len(compressed)) + compressed


def _fields_of(node: Node) -> list[bytes]:
    return [
        _numbers([node.ilsvrc_id]),
        _text(node.wnid),
        _text(node.words),
        _text(node.gloss),
        _numbers([len(node.children)]),
        _numbers(node.children),
        _numbers([node.wordnet_height]),
        _numbers([node.train]),
    ]


def _element(kind: int, content: bytes) -> bytes:
    if 0 < len(content) <= 4 and kind != MI_MATRIX:
        return struct.pack("<HH", kind, len(content)) + content.ljust(4, b"\0")
    padding = -len(content) % 8
    return struct.pack("<II", kind, len(content)) + content + bytes(padding)


def _matrix(array_class: int, shape: tuple[int, int], name: str, *content: bytes) -> bytes:
    return _element(
        MI_MATRIX,
        b"".join(
            [
                _element(MI_UINT32, struct.pack("<II", array_class, 0)),
                _element(MI_INT32, struct.pack("<ii", *shape)),
                _element(MI_INT8, name.encode("ascii")),
                *content,
            ]
        ),
    )


def _struct_array(name: str, fields: Sequence[str], rows: Sequence[Sequence[bytes]]) -> bytes:
    names = b"".join(field.encode("ascii").ljust(FIELD_NAME_LENGTH, b"\0") for field in fields)
    return _matrix(
        MX_STRUCT_CLASS,
        (len(rows), 1),
        name,
        _element(MI_INT32, struct.pack("<i", FIELD_NAME_LENGTH)),
        _element(MI_INT8, names),
        *(value for row in rows for value in row),
    )


def _numbers(values: Sequence[int]) -> bytes:
    """A row of whole numbers of class double (1×0 for none), in the smallest type that holds them."""
    largest = max(values, default=0)
    if largest < 2**8:
        kind, code = MI_UINT8, "B"
    elif largest < 2**16:
        kind, code = MI_UINT16, "H"
    else:
        kind, code = MI_INT32, "i"
    content = struct.pack(f"<{len(values)}{code}", *values)
    return _matrix(MX_DOUBLE_CLASS, (1, len(values)), "", _element(kind, content))


def _text(text: str) -> bytes:
    """A row of characters; 0×0 for none, as MATLAB's own ''."""
    shape = (1, len(text)) if text else (0, 0)
    return _matrix(MX_CHAR_CLASS, shape, "", _element(MI_UTF8, text.encode()))
