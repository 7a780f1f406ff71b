"""Tar headers: the same bytes as the standard library's, whatever the name and the size."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builder.export.places import WRITTEN_AT_NS
from imagenet_builder.export.tar import tar_end, tar_header, tar_member


def standard_header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, WRITTEN_AT_NS // 10**9
    return member.tobuf(tarfile.GNU_FORMAT)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=120),
    st.integers(0, 2**40),
)
def test_headers_are_the_standard_library_s(name: str, size: int) -> None:
    assert tar_header(name, size) == standard_header(name, size)


@pytest.mark.parametrize("length", [1, 99, 100, 101])
@pytest.mark.parametrize("size", [0, 7, 8**11 - 1, 8**11])
def test_headers_are_the_standard_library_s_at_the_edges(length: int, size: int) -> None:
    assert tar_header("x" * length, size) == standard_header("x" * length, size)


def test_an_archive_of_members_is_read_back() -> None:
    contents = {
        f"n{number}.JPEG": bytes([number]) * size for number, size in enumerate((0, 1, 511, 512, 513))
    }
    written = b"".join(part for name, content in contents.items() for part in tar_member(name, content))
    whole = written + tar_end(len(written))
    assert len(whole) % tarfile.RECORDSIZE == 0
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        found = {}
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
    assert found == contents
