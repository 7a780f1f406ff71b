"""meta.mat, meta.bin and the trimmed hierarchy, through the readers that people use."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, whosmat

from imagenet_builder.export.description import Node
from imagenet_builder.export.hierarchy import class_ids, trimmed_hierarchy
from imagenet_builder.export.matlab import FIELDS, synsets_mat
from imagenet_builder.export.torch_archive import torch_archive
from tests.real_parts import need
from wordnet_synsets.graph import Graph, open_graph
from wordnet_synsets.select import list_wnids, official_ids

NODES = (
    Node(1, "n01440764", "tench, Tinca tinca", "freshwater dace-like game fish", (), 0, 1300),
    Node(2, "n03126707", "crane", 'lifts; "a crane at work"', (), 1, 700),
    Node(3, "n00001740", "entity", "", (1, 2), 19, 0),
)


@pytest.fixture(scope="module")
def graph(wordnet_folder: Path) -> Graph:
    return open_graph(wordnet_folder)


def plain(nodes: tuple[Node, ...]) -> Any:
    return loadmat(io.BytesIO(synsets_mat(nodes)))["synsets"]


def squeezed(nodes: tuple[Node, ...]) -> Any:
    return loadmat(io.BytesIO(synsets_mat(nodes)), squeeze_me=True)["synsets"]


def test_scipy_reads_an_n_by_1_struct_array_with_the_devkit_s_fields_in_order() -> None:
    synsets = plain(NODES)
    assert synsets.shape == (3, 1)
    assert synsets.dtype.names == FIELDS
    assert whosmat(io.BytesIO(synsets_mat(NODES))) == [("synsets", (3, 1), "struct")]
    leaf, root = synsets[0, 0], synsets[2, 0]
    assert leaf["children"].shape == (1, 0)
    assert root["children"].shape == (1, 2)
    assert root["gloss"].size == 0
    assert leaf["words"].tolist() == ["tench, Tinca tinca"]
    assert leaf["num_train_images"].tolist() == [[1300]]


def test_numbers_can_index_although_their_matlab_class_is_double() -> None:
    synsets = plain(NODES)
    for name in ("ILSVRC2012_ID", "num_children", "wordnet_height", "num_train_images", "children"):
        for row in synsets[:, 0]:
            assert np.issubdtype(row[name].dtype, np.integer)
    # The class stands in the first byte of an array's flags, which follow the array's own tag and theirs.
    whole = loadmat(io.BytesIO(synsets_mat(NODES)), mat_dtype=True)["synsets"]
    assert whole[0, 0]["ILSVRC2012_ID"].dtype == np.float64


def test_torchvision_s_way_of_reading_the_devkit_gives_ids_and_words() -> None:
    meta = squeezed(NODES)
    counts = list(zip(*meta, strict=True))[4]
    leaves = [meta[place] for place, count in enumerate(counts) if count == 0]
    ids, wnids, words = list(zip(*leaves, strict=True))[:3]
    assert [int(one) for one in ids] == [1, 2]
    assert {1: wnids[0]}[ids[0]] == "n01440764"
    assert words == ("tench, Tinca tinca", "crane")


texts = st.text(
    st.characters(codec="utf-8", max_codepoint=0xFFFF, exclude_characters="\0"),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(texts, texts, st.lists(st.integers(1, 70_000), max_size=5), st.integers(0, 2**31 - 1)),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_is_written_is_read_again(rows: list[tuple[str, str, list[int], int]]) -> None:
    nodes = tuple(
        Node(number, f"n{number:08d}", words, gloss, tuple(children), 7, train)
        for number, (words, gloss, children, train) in enumerate(rows, start=1)
    )
    for node, row in zip(nodes, plain(nodes)[:, 0], strict=True):
        # SciPy keeps blanks at the end or not, as it was compiled.
        found = [words.rstrip(" ") for words in row["words"].tolist()]
        assert found == ([node.words.rstrip(" ")] if node.words else [])
        assert row["children"].tolist() == [list(node.children)]
        assert row["num_train_images"].tolist() == [[node.train]]
        assert row["WNID"].tolist() == [node.wnid]


def test_the_2012_thousand_give_the_official_hierarchy(graph: Graph) -> None:
    thousand = list_wnids("ilsvrc2012")
    ids = class_ids(thousand)
    assert ids == dict(official_ids())
    assert (ids["n02119789"], ids["n03255030"], ids["n01440764"]) == (1, 1000, 449)
    nodes = trimmed_hierarchy(graph, ids, dict.fromkeys(thousand, 1300))
    assert [node.ilsvrc_id for node in nodes] == list(range(1, 1861))
    assert nodes[1000].wnid == "n00001740"
    assert nodes[1000].wordnet_height == 19
    assert all(not node.children and node.train == 1300 for node in nodes[:1000])
    assert all(node.children and node.train == 0 for node in nodes[1000:])
    assert max(len(node.children) for node in nodes) == 29
    parents = [0] * 1861
    for node in nodes:
        for child in node.children:
            parents[child] += 1
    assert sum(count > 1 for count in parents) == 75
    assert [number for number, count in enumerate(parents) if not count and number] == [1001]
    for node in nodes:
        below = graph[node.wnid].hyponyms
        # In the whole of WordNet, where 2012's classes are not all leaves.
        assert node.wordnet_height == max((1 + graph.height(child) for child in below), default=0)
    read = plain(nodes)
    assert read.shape == (1860, 1)
    assert [int(row["num_children"].item()) for row in read[:, 0]] == [len(node.children) for node in nodes]


def test_other_classes_are_numbered_by_wnid_and_entity_follows_them(graph: Graph) -> None:
    wnids = ("n04507155", "n01440764", "n01443537")
    ids = class_ids(wnids)
    assert ids == {"n01440764": 1, "n01443537": 2, "n04507155": 3}
    nodes = trimmed_hierarchy(graph, ids, dict.fromkeys(wnids, 5))
    assert nodes[3].words == "entity"
    assert nodes[0].words == "tench, Tinca tinca"
    assert nodes[0].gloss == graph["n01440764"].gloss
    by_id = {node.ilsvrc_id: node for node in nodes}
    assert {by_id[child].wnid for child in nodes[3].children} <= set(graph.children("n00001740"))


def test_torch_loads_what_was_written_without_torch() -> None:
    torch = pytest.importorskip("torch")
    value = ({"n01440764": ("tench", "Tinca tinca"), "n02012849": ("crane",)}, ["n01440764"] * 3)
    read = torch.load(io.BytesIO(torch_archive(value)), weights_only=True)
    assert read == value
    assert isinstance(read[0]["n01440764"], tuple)


def test_equal_values_give_equal_bytes_whichever_strings_are_shared() -> None:
    shared = "n01440764"
    copies = ["".join(["n0144", "0764"]) for _ in range(2)]
    assert torch_archive(({shared: (shared,)}, [shared])) == torch_archive(
        ({copies[0]: (copies[1],)}, [copies[0]])
    )
    with zipfile.ZipFile(io.BytesIO(torch_archive(({}, [])))) as archive:
        assert archive.namelist() == ["archive/data.pkl", "archive/byteorder", "archive/version"]


def test_values_that_meta_bin_never_holds_are_refused() -> None:
    with pytest.raises(TypeError, match="int"):
        torch_archive(({"n01440764": 7}, []))


# What the devkit's own MATLAB routines rely on, as Octave sees it.
IN_OCTAVE = """
loaded = load(argv(){1});
synsets = loaded.synsets;
told.size = size(synsets);
told.fields = fieldnames(synsets)';
told.ids = double([synsets.ILSVRC2012_ID]);
told.wnids = {synsets.WNID};
told.words = {synsets.words};
told.gloss = {synsets.gloss};
told.num_children = [synsets.num_children];
told.sizes = cell2mat(cellfun(@size, {synsets.children}, "UniformOutput", false)');
told.children = cellfun(@(below) [below, 0], {synsets.children}, "UniformOutput", false);
told.classes = unique({class(synsets(1).ILSVRC2012_ID), class(synsets(end).children), class(synsets(1).words)});
told.heights = [synsets.wordnet_height];
told.train = [synsets.num_train_images];
% Numbers can be calculated and indexed with.
told.first_below_last = synsets(synsets(end).children(1)).WNID;
disp(jsonencode(told));
"""


def in_octave(content: bytes, folder: Path) -> Any:
    octave = need("octave", shutil.which("octave-cli"))
    (folder / "meta.mat").write_bytes(content)
    (folder / "read.m").write_text(IN_OCTAVE)
    done = subprocess.run(
        [octave, "--norc", "--quiet", str(folder / "read.m"), str(folder / "meta.mat")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_octave_loads_meta_mat_as_matlab_s_own_types(tmp_path: Path) -> None:
    told = in_octave(synsets_mat(NODES), tmp_path)
    assert told["size"] == [3, 1]
    assert told["fields"] == list(FIELDS)
    assert told["ids"] == [1, 2, 3]
    assert told["wnids"] == [one.wnid for one in NODES]
    assert told["words"] == [one.words for one in NODES]
    assert told["gloss"] == [one.gloss for one in NODES]
    assert told["num_children"] == [0, 0, 2]
    assert told["sizes"] == [[1, 0], [1, 0], [1, 2]]
    assert told["children"][2] == [1, 2, 0]
    assert told["classes"] == ["char", "double"]
    assert told["heights"] == [0, 1, 19]
    assert told["train"] == [1300, 700, 0]
    assert told["first_below_last"] == "n01440764"


def test_octave_loads_the_hierarchy_of_the_thousand(graph: Graph, tmp_path: Path) -> None:
    ids = class_ids(list_wnids("ilsvrc2012"))
    nodes = trimmed_hierarchy(graph, ids, dict.fromkeys(ids, 1300))
    told = in_octave(synsets_mat(nodes), tmp_path)
    assert told["size"] == [1860, 1]
    assert told["ids"] == list(range(1, 1861))
    assert told["wnids"] == [one.wnid for one in nodes]
    assert told["num_children"] == [len(one.children) for one in nodes]
    assert [below[:-1] if isinstance(below, list) else [] for below in told["children"]] == [
        list(one.children) for one in nodes
    ]
