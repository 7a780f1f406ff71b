"""Files that are written together: whole, past the page cache or through it, few of them open at once."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagenet_builder.durable import BLOCK, FILES_AT_ONCE, MARK, PAST_CACHE_FROM, PIECE, DurableFolder

LENGTHS = [
    0,
    1,
    BLOCK,
    PAST_CACHE_FROM - 1,
    PAST_CACHE_FROM,
    PAST_CACHE_FROM + 1,
    PIECE,
    3 * PIECE + BLOCK + 7,
]


def contents() -> dict[str, bytes]:
    return {f"{number:02x}/{length}": os.urandom(length) for number, length in enumerate(LENGTHS)}


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_files_of_any_length_are_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    wanted = contents()
    DurableFolder(tmp_path).write(wanted)
    assert written(tmp_path) == wanted


def test_memory_in_whole_blocks_is_written_as_it_is_and_other_memory_too(tmp_path: Path) -> None:
    memory = memoryview(mmap.mmap(-1, 4 * PIECE))
    wanted = contents()
    for begin in (0, BLOCK, 1):
        views = {}
        for name, content in wanted.items():
            views[name] = memory[begin : begin + len(content)]
            views[name][:] = content
            DurableFolder(tmp_path / str(begin)).write({name: views[name]})
        assert written(tmp_path / str(begin)) == wanted


def test_a_file_system_that_knows_only_its_cache_is_written_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    usual = fcntl.fcntl

    def without_direct(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETFL and argument & os.O_DIRECT:
            asked.append(descriptor)
            raise OSError(errno.EINVAL, "Invalid argument")
        return usual(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", without_direct)
    wanted = contents()
    DurableFolder(tmp_path).write(wanted)
    assert written(tmp_path) == wanted
    assert asked


def test_what_has_the_name_is_replaced_and_what_a_killed_write_left_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab/name").write_bytes(b"damaged")
    (tmp_path / f"ab/name{MARK}1").write_bytes(b"of another process")
    DurableFolder(tmp_path).write({"ab/name": b"whole"})
    assert written(tmp_path) == {"ab/name": b"whole", f"ab/name{MARK}1": b"of another process"}


def test_a_batch_that_fails_leaves_none_of_its_files_half_written(tmp_path: Path) -> None:
    (tmp_path / "cd").write_bytes(b"no folder")
    with pytest.raises(OSError, match="cd"):
        DurableFolder(tmp_path).write({"ab/first": bytes(PAST_CACHE_FROM), "cd/second": b"x"})
    assert written(tmp_path) == {"cd": b"no folder"}


def test_many_small_files_need_few_descriptors(tmp_path: Path) -> None:
    code = (
        "import pathlib, resource, sys\n"
        "from imagenet_builder.durable import DurableFolder\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES_AT_ONCE} + 20, {FILES_AT_ONCE} + 20))\n"
        "DurableFolder(pathlib.Path(sys.argv[1])).write({f'ab/{n}': b'%d' % n for n in range(500)})\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert written(tmp_path) == {f"ab/{number}": b"%d" % number for number in range(500)}
