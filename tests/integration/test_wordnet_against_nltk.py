"""Every noun synset against NLTK's reader of the same files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wordnet_synsets import Graph, Synset, WordNetFiles, wnid_of

# The lexicographer files of LEXNAMES(5WN), which Debian does not ship and NLTK wants.
LEXICOGRAPHER_FILES = (
    ("adj", 3, "all pert"),
    ("adv", 4, "all"),
    (
        "noun",
        1,
        "Tops act animal artifact attribute body cognition communication event feeling food group location motive "
        "object person phenomenon plant possession process quantity relation shape state substance time",
    ),
    (
        "verb",
        2,
        "body change cognition communication competition consumption contact creation emotion motion perception "
        "possession social stative weather",
    ),
    ("adj", 3, "ppl"),
)


@pytest.fixture(scope="session")
def nltk_synsets(wordnet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """NLTK's noun synsets by wnid, read from a copy of Debian's files: NLTK reads only under its own data folders."""
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    root = tmp_path_factory.mktemp("nltk_data")
    folder = root / "corpora" / "wordnet"
    shutil.copytree(wordnet_folder, folder)
    names = [(f"{part}.{name}", code) for part, code, names in LEXICOGRAPHER_FILES for name in names.split()]
    lines = (f"{number:02d}\t{name}\t{code}\n" for number, (name, code) in enumerate(names))
    (folder / "lexnames").write_text("".join(lines))
    (folder / "index.sense").touch()  # read only to translate between versions
    nltk.data.path.insert(0, str(root))
    try:
        with pytest.warns(UserWarning, match="multilingual functions are not available"):
            reader = WordNetCorpusReader(nltk.data.find("corpora/wordnet"), None)
        yield {wnid_of(synset.offset()): synset for synset in reader.all_synsets("n")}
    finally:
        nltk.data.path.remove(str(root))


@pytest.fixture(scope="session")
def graph(wordnet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The graph as users get it, from the cache."""
    cache = tmp_path_factory.mktemp("cache")
    Graph.load(WordNetFiles(wordnet_folder), cache)
    return Graph.load(WordNetFiles(wordnet_folder), cache)


def ours(graph: Graph, synset: Synset) -> dict[str, object]:
    return {
        "name": synset.name,
        "sense key": synset.sense_key,
        "lemmas": list(synset.lemmas),
        "definition": synset.definition,
        "examples": list(synset.examples),
        "hypernyms": sorted(synset.hypernyms),
        "instance hypernyms": sorted(synset.instance_hypernyms),
        "hyponyms": list(synset.hyponyms),
        "instance hyponyms": list(synset.instance_hyponyms),
        "min depth": graph.depth(synset.wnid),
        "max depth": graph.depth(synset.wnid, longest=True),
    }


def nltks(synset: Any) -> dict[str, object]:
    def wnids(related: list[Any]) -> list[str]:
        return sorted(wnid_of(other.offset()) for other in related)

    return {
        "name": synset.name(),
        "sense key": synset.lemmas()[0].key(),
        "lemmas": synset.lemma_names(),
        "definition": synset.definition(),
        "examples": synset.examples(),
        "hypernyms": wnids(synset.hypernyms()),
        "instance hypernyms": wnids(synset.instance_hypernyms()),
        "hyponyms": wnids(synset.hyponyms()),
        "instance hyponyms": wnids(synset.instance_hyponyms()),
        "min depth": synset.min_depth(),
        "max depth": synset.max_depth(),
    }


def test_all_82115_synsets_are_as_nltk_reads_them(graph: Graph, nltk_synsets: dict[str, Any]) -> None:
    assert len(nltk_synsets) == 82_115
    assert list(graph) == sorted(nltk_synsets)
    different = {
        synset.wnid: (mine, theirs)
        for synset in graph.synsets()
        if (mine := ours(graph, synset)) != (theirs := nltks(nltk_synsets[synset.wnid]))
    }
    assert not different, f"{len(different)} differ, the first: {next(iter(different.items()))}"


def test_every_gloss_is_the_text_behind_the_bar(graph: Graph, wordnet_folder: Path) -> None:
    lines = (wordnet_folder / "data.noun").read_text("utf-8").splitlines()
    glosses = {f"n{line[:8]}": line.split(" | ", 1)[1].rstrip() for line in lines if not line.startswith(" ")}
    assert {synset.wnid: synset.gloss for synset in graph.synsets()} == glosses


def test_words_have_the_senses_that_nltk_gives_them(graph: Graph, nltk_synsets: dict[str, Any]) -> None:
    reader = nltk_synsets["n00001740"]._wordnet_corpus_reader
    words = sorted({lemma.lower() for synset in graph.synsets() for lemma in synset.lemmas})
    assert len(words) == 117_798
    for word in words:
        theirs = [wnid_of(synset.offset()) for synset in reader.synsets(word, "n", check_exceptions=False)]
        # NLTK also looks for the word without a plural ending; those synsets follow the word's own.
        found = [synset.wnid for synset in graph.find(word)]
        assert found == theirs[: len(found)], word
