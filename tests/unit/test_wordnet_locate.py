"""Where WordNet is looked for, in which order, and what is said when it is nowhere."""

from __future__ import annotations

import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from wordnet_synsets import Graph, WordNetFiles, WordNetNotFound, WrongWordNet, find_wordnet
from wordnet_synsets.locate import DEBIAN_FOLDER, default_places

from .wordnet_nouns import DOG

DOWNLOAD = """
import sys
from nltk import pathsec
from wordnet_synsets import find_wordnet
from wordnet_synsets.locate import default_places
pathsec.ENFORCE = False  # NLTK refuses servers on this machine, which the test's is
print(find_wordnet(places=default_places()[:1], download=True, index_url=sys.argv[1]).path)
"""


def fill(folder: Path, names: tuple[str, ...] = ("data.noun", "index.noun")) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"words\n")
    return folder


def zipped(path: Path, inside: str, folder: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.noun", "index.noun"):
            archive.write(folder / name, inside + name)
    return path


@pytest.mark.parametrize("inside", [".", "dict", "corpora/wordnet"])
def test_a_chosen_folder_may_be_any_of_the_usual_layouts(tmp_path: Path, inside: str) -> None:
    folder = fill(tmp_path / inside)
    assert find_wordnet(tmp_path) == WordNetFiles(folder)


def test_a_chosen_folder_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = fill(tmp_path / "words")
    assert find_wordnet(Path("~/words")) == WordNetFiles(folder)


@pytest.mark.parametrize("names", [(), ("data.noun",), ("index.noun",)])
def test_a_chosen_folder_without_both_files_is_refused_and_nothing_else_is_taken(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    elsewhere = fill(tmp_path / "elsewhere")
    with pytest.raises(WordNetNotFound, match=r"chosen does not hold data\.noun and index\.noun") as refused:
        find_wordnet(fill(tmp_path / "chosen", names), places=[elsewhere])
    assert "apt-get install wordnet-base" in str(refused.value)


def test_the_first_place_that_has_it_wins(tmp_path: Path) -> None:
    empty, first, second = tmp_path / "empty", fill(tmp_path / "first"), fill(tmp_path / "second")
    assert find_wordnet(places=[empty, first, second]) == WordNetFiles(first)


def test_nltks_folders_come_before_debians_in_nltks_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    places = default_places({"NLTK_DATA": os.pathsep.join(["/a", "", "~/b", "/a"])})
    assert places[:3] == (Path("/a"), tmp_path / "b", tmp_path / "nltk_data")
    assert places[3].is_relative_to(sys.prefix)
    assert Path("/usr/share/nltk_data") in places
    assert places[-1] == DEBIAN_FOLDER


def test_a_missing_wordnet_is_told_in_one_line_with_every_place_and_the_remedies(tmp_path: Path) -> None:
    places = [tmp_path / "one", tmp_path / "two"]
    with pytest.raises(WordNetNotFound) as refused:
        find_wordnet(places=places)
    message = str(refused.value)
    assert all(str(place) in message for place in places)
    assert "apt-get install wordnet-base" in message
    assert "--wordnet DIR" in message
    assert "\n" not in message


@pytest.mark.parametrize("inside", ["wordnet/", "", "WordNet-3.0/dict/"])
def test_a_zipped_corpus_is_read_without_unpacking(wordnet_folder: Path, tmp_path: Path, inside: str) -> None:
    archive = zipped(tmp_path / "corpora" / "wordnet.zip", inside, wordnet_folder)
    files = find_wordnet(places=[tmp_path])
    assert files == WordNetFiles(archive, inside)
    assert files == find_wordnet(archive)
    assert files.read("index.noun") == (wordnet_folder / "index.noun").read_bytes()


def test_the_graph_of_a_zipped_corpus_is_cached_too(wordnet_folder: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "wordnet.zip", "wordnet/", wordnet_folder)
    first = Graph.load(find_wordnet(archive), tmp_path / "cache")
    state = archive.stat()
    archive.write_bytes(b"?" * state.st_size)  # only the cache can answer now
    os.utime(archive, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert Graph.load(WordNetFiles(archive, "wordnet/"), tmp_path / "cache")[DOG] == first[DOG]


def test_a_zip_of_something_else_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "corpora" / "wordnet.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("wordnet/mydata.noun", "x")
        archive.writestr("wordnet/index.noun", "x")
    fallback = fill(tmp_path / "fallback")
    assert find_wordnet(places=[tmp_path, fallback]) == WordNetFiles(fallback)


def test_files_that_vanish_or_cannot_be_read_are_told_in_one_line(tmp_path: Path) -> None:
    files = WordNetFiles(fill(tmp_path / "words"))
    (files.path / "index.noun").unlink()
    (files.path / "index.noun").mkdir()
    with pytest.raises(WrongWordNet, match=r"cannot read index\.noun"):
        files.read("index.noun")
    shutil.rmtree(files.path)
    with pytest.raises(WrongWordNet, match="cannot read WordNet in"):
        files.fingerprint()
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK rubbish")
    with pytest.raises(WrongWordNet, match=r"cannot read data\.noun"):
        WordNetFiles(broken, "wordnet/").read("data.noun")


def test_a_download_without_a_network_is_told_with_the_downloaders_own_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WordNetNotFound, match="NLTK's downloader: Error loading wordnet") as refused:
        find_wordnet(places=[tmp_path], download=True, index_url="http://127.0.0.1:1/index.xml")
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def nltk_server(wordnet_folder: Path, tmp_path: Path) -> Iterator[str]:
    """A server in the shape of NLTK's own, with the corpus `wordnet`; the value is its index's URL."""
    folder = tmp_path / "server"
    packed = zipped(folder / "wordnet.zip", "wordnet/", wordnet_folder).read_bytes()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        (folder / "index.xml").write_text(
            f'<nltk_data><packages><package id="wordnet" name="WordNet" subdir="corpora" unzip="0" '
            f'size="{len(packed)}" unzipped_size="{len(packed)}" url="{address}/wordnet.zip" '
            f'checksum="{hashlib.md5(packed).hexdigest()}" '
            f'sha256_checksum="{hashlib.sha256(packed).hexdigest()}"/></packages><collections/></nltk_data>'
        )
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"{address}/index.xml"
        server.shutdown()
        serving.join()


def test_a_download_is_found_and_read(nltk_server: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "NLTK_DATA"}
    done = subprocess.run(
        [sys.executable, "-c", DOWNLOAD, nltk_server],
        env=environment | {"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = Path(done.stdout.strip().splitlines()[-1])
    assert found.is_relative_to(home / "nltk_data" / "corpora")
    assert Graph.load(find_wordnet(home / "nltk_data"), None)[DOG].name == "dog.n.01"
