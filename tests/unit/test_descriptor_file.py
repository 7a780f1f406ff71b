"""Descriptors in a temporary file: what was added is read back, and nothing else."""

from __future__ import annotations

import resource

import numpy as np
import pytest

from imagenet_builder import descriptor_file
from imagenet_builder.descriptor_file import NO_ROW, DescriptorColumn, DescriptorFile, DescriptorRows
from imagenet_builder.descriptors import BYTES
from imagenet_builder.errors import ProjectError


def descriptor(number: int) -> bytes:
    return bytes([number % 256, number // 256]) * (BYTES // 2)


def test_what_was_added_is_read_back_in_any_order_and_between_additions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(descriptor_file, "WRITTEN_AT_ONCE", 3 * BYTES)
    kept = DescriptorFile()
    for number in range(700):
        kept.add(f"picture {number}", descriptor(number))
        assert kept[f"picture {number // 2}"] == descriptor(number // 2)
    assert list(kept) == [f"picture {number}" for number in range(700)]
    assert all(kept[f"picture {number}"] == descriptor(number) for number in reversed(range(700)))
    some = [f"picture {number}" for number in (5, 699, 5, 0)]
    assert kept.stacked(some) == b"".join(map(kept.__getitem__, some))
    assert kept.stacked([]) == b""
    assert kept.get("another", b"") == b""
    assert "another" not in kept


def test_a_name_keeps_its_first_descriptor() -> None:
    kept = DescriptorFile()
    for number in (1, 2, 3):
        kept.add("one", descriptor(number))
    kept.add("other", descriptor(4))
    assert dict(kept) == {"one": descriptor(1), "other": descriptor(4)}


def test_what_is_no_descriptor_is_refused() -> None:
    with pytest.raises(ValueError, match="576 bytes, not 575"):
        DescriptorFile().add("one", bytes(BYTES - 1))


def test_a_full_disk_is_one_line_that_names_the_folder() -> None:
    kept = DescriptorFile()
    for number in range(8):
        kept.add(str(number), descriptor(number))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * BYTES, limits[1]))
    try:
        with pytest.raises(ProjectError, match=r"cannot keep descriptors .*: File too large; make room"):
            kept["0"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [kept[str(number)] for number in range(8)] == [descriptor(number) for number in range(8)]


def test_the_file_goes_with_its_descriptors() -> None:
    kept = DescriptorFile()
    file = kept._rows._file
    del kept
    assert file.closed


def test_a_column_of_names_answers_as_a_dictionary_does() -> None:
    rows = DescriptorRows()
    names = np.array(["b", "d", "f", "h"], np.bytes_)
    row_of = np.array([rows.add(descriptor(1)), NO_ROW, rows.add(descriptor(2)), NO_ROW])
    column = DescriptorColumn(names, row_of, rows)
    assert dict(column) == {"b": descriptor(1), "f": descriptor(2)}
    assert len(column) == 2
    assert [column.get(name) for name in "acdegi"] == [None] * 6
    assert [name for name in "abcdefghi" if name in column] == ["b", "f"]
    assert column.stacked("fbf") == descriptor(2) + descriptor(1) + descriptor(2)
    with pytest.raises(KeyError, match="d"):
        column.stacked(["b", "d"])
    assert dict(DescriptorColumn(names[:0], row_of[:0], rows)) == {}
