"""The cache of parsed nouns: used when it fits, never believed when it does not, never needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordnet_synsets import Graph, WordNetFiles, WrongWordNet
from wordnet_synsets.cache import cache_folder, load_columns
from wordnet_synsets.columns import Columns, ColumnsUnreadable, numbers, pack, rows, text_rows, unpack

from .wordnet_nouns import DOG, nouns

CONCURRENT = """
import sys
from pathlib import Path
from wordnet_synsets import Graph, WordNetFiles
graph = Graph.load(WordNetFiles(Path(sys.argv[1])), Path(sys.argv[2]))
assert graph.resolve("dog").wnid == "n02084071" and len(graph) == 82115
"""


@pytest.fixture
def small() -> Columns:
    relation = rows([(), (0,), (0, 1)])
    column = numbers([0, 1, 2], "B")
    text = text_rows([b"one", b"", "dré".encode()])
    plain = numbers([0, 10, 4_000_000_000])
    return Columns(
        plain, relation, relation, relation, relation, column, column, column, column, text, text, relation
    )


def cached_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_packed_columns_come_back_as_they_were(small: Columns) -> None:
    again = unpack(memoryview(pack(small, "mark")), "mark")
    assert again == small
    assert again.records.text(2) == "dré"
    assert [list(again.senses[row]) for row in range(3)] == [[], [0], [0, 1]]


@given(choice=st.data())
def test_no_cut_and_no_changed_byte_passes(choice: st.DataObject) -> None:
    relation, column, text = rows([(1,), (), ()]), numbers([3, 2, 1], "B"), text_rows([b"a", b"b", b"c"])
    plain = numbers([1, 2, 3])
    packed = pack(
        Columns(
            plain,
            relation,
            relation,
            relation,
            relation,
            column,
            column,
            column,
            column,
            text,
            text,
            relation,
        ),
        "mark",
    )
    place = choice.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(ColumnsUnreadable):
        unpack(memoryview(packed[:place]), "mark")
    changed = bytearray(packed)
    changed[place] ^= choice.draw(st.integers(1, 255))
    with pytest.raises(ColumnsUnreadable):
        unpack(memoryview(bytes(changed)), "mark")


def test_columns_of_other_files_are_refused(small: Columns) -> None:
    with pytest.raises(ColumnsUnreadable):
        unpack(memoryview(pack(small, "these files")), "other files")


def test_a_second_load_reads_the_cache_and_a_changed_source_is_parsed_again(
    wordnet_folder: Path, tmp_path: Path
) -> None:
    source, cache = tmp_path / "source", tmp_path / "cache"
    source.mkdir()
    for name in ("data.noun", "index.noun"):
        shutil.copy2(wordnet_folder / name, source)
    first = Graph.load(WordNetFiles(source), cache)
    # Rubbish of the same size and time stands where the words were: only the cache can still answer.
    index = source / "index.noun"
    state = index.stat()
    index.write_bytes(b"?" * state.st_size)
    os.utime(index, ns=(state.st_atime_ns, state.st_mtime_ns))
    second = Graph.load(WordNetFiles(source), cache)
    assert second[DOG] == first[DOG]
    assert second.find("domestic dog") == first.find("domestic dog")
    assert second.ancestors(DOG) == first.ancestors(DOG)
    os.utime(index, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    with pytest.raises(WrongWordNet):
        Graph.load(WordNetFiles(source), cache)


def test_the_cache_is_for_its_owner_alone_and_leaves_nothing_beside_it(
    wordnet_folder: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "made" / "on the way"
    load_columns(WordNetFiles(wordnet_folder), cache)
    assert cached_file(cache).stat().st_mode & 0o077 == 0
    assert cache.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("length", [0, 5_000_000])
def test_a_cut_cache_is_made_anew(wordnet_folder: Path, tmp_path: Path, length: int) -> None:
    files = WordNetFiles(wordnet_folder)
    load_columns(files, tmp_path)
    path = cached_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    assert Graph.load(files, tmp_path)[DOG].name == "dog.n.01"
    assert cached_file(tmp_path).read_bytes() == whole


def test_a_cache_with_a_changed_byte_is_made_anew(wordnet_folder: Path, tmp_path: Path) -> None:
    files = WordNetFiles(wordnet_folder)
    load_columns(files, tmp_path)
    path = cached_file(tmp_path)
    whole = path.read_bytes()
    changed = whole.replace(b"domestic_dog", b"domestic_cat", 1)
    assert changed != whole
    path.write_bytes(changed)
    assert Graph.load(files, tmp_path)[DOG].lemmas[1] == "domestic_dog"
    assert cached_file(tmp_path).read_bytes() == whole


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_cache_that_somebody_else_wrote_is_not_believed(wordnet_folder: Path, tmp_path: Path) -> None:
    files = WordNetFiles(wordnet_folder)
    load_columns(files, tmp_path)
    os.chown(cached_file(tmp_path), 65534, 65534)
    assert Graph.load(files, tmp_path)[DOG].name == "dog.n.01"
    assert cached_file(tmp_path).stat().st_uid == 0


def test_a_cache_folder_that_cannot_be_made_costs_only_time(wordnet_folder: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    graph = Graph.load(WordNetFiles(wordnet_folder), blocked / "cache")
    assert graph[DOG] == nouns(wordnet_folder)[DOG]


def test_a_cache_that_cannot_be_replaced_costs_only_time_and_leaves_nothing(
    wordnet_folder: Path, tmp_path: Path
) -> None:
    files = WordNetFiles(wordnet_folder)
    load_columns(files, tmp_path)
    path = cached_file(tmp_path)
    path.unlink()
    path.mkdir()
    assert Graph.load(files, tmp_path)[DOG].name == "dog.n.01"
    assert cached_file(tmp_path).is_dir()


def test_concurrent_first_loads_all_answer_and_leave_one_sound_cache(
    wordnet_folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", CONCURRENT, str(wordnet_folder), str(tmp_path)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for loader in running:
        _, told = loader.communicate(timeout=120)
        assert loader.returncode == 0, told
    state = cached_file(tmp_path).stat()
    load_columns(WordNetFiles(wordnet_folder), tmp_path)
    assert cached_file(tmp_path).stat().st_mtime_ns == state.st_mtime_ns, "the cache was not sound"


def test_two_databases_do_not_push_each_other_out(wordnet_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("data.noun", "index.noun"):
        shutil.copy2(wordnet_folder / name, other)
    cache = tmp_path / "cache"
    for folder in (wordnet_folder, other):
        load_columns(WordNetFiles(folder), cache)
    assert len(list(cache.iterdir())) == 2


def test_the_cache_folder_follows_the_xdg_specification(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home = tmp_path / ".cache" / "imagenet-builder"
    assert cache_folder({"XDG_CACHE_HOME": "/somewhere"}) == Path("/somewhere/imagenet-builder")
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == at_home
    assert cache_folder({"XDG_CACHE_HOME": ""}) == at_home
    assert cache_folder({}) == at_home
