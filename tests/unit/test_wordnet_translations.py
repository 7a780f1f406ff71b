"""Translations out of a corpus in the layout of NLTK's package omw-1.4, as a folder and as an archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.omw_corpus import nltk_data
from wordnet_synsets import Translations
from wordnet_synsets.errors import WordNetError, WrongWordNet

DOG, UMBRELLA = "n02084071", "n04507155"


@pytest.mark.parametrize("name", ["omw-1.4", "omw"])
@pytest.mark.parametrize("archive", [False, True])
def test_lemmas_come_by_language_in_the_order_asked_for(tmp_path: Path, archive: bool, name: str) -> None:
    place = nltk_data(tmp_path, archive=archive, name=name)
    found = Translations(["nl", "zh", "es", "it"], places=[tmp_path / "absent", place])
    assert found.package == place / "corpora" / (f"{name}.zip" if archive else name)
    assert list(found.of(DOG).items()) == [
        ("nl", ("hond",)),
        ("es", ("perro", "can_doméstico")),
        ("it", ("cane",)),
    ]
    assert dict(found.of(UMBRELLA)) == {"zh": ("雨伞",), "es": ("paraguas",), "it": ("ombrello",)}
    assert found.of("n00001740") == {}


def test_without_the_package_there_are_no_translations(tmp_path: Path) -> None:
    found = Translations(["es"], places=[tmp_path])
    assert found.package is None
    assert found.of(DOG) == {}


def test_a_language_that_the_package_does_not_have_is_refused() -> None:
    with pytest.raises(WordNetError, match=r"'spanish' is no language of the Open Multilingual .* es,"):
        Translations(["es", "spanish"])


@pytest.mark.parametrize("spoilt", [b"PK no archive", b"\xff"])
def test_a_damaged_package_is_named(tmp_path: Path, spoilt: bytes) -> None:
    place = nltk_data(tmp_path)
    if spoilt.startswith(b"PK"):
        (tmp_path / "other" / "corpora").mkdir(parents=True)
        place = tmp_path / "other"
        (place / "corpora" / "omw-1.4.zip").write_bytes(spoilt)
    else:
        (place / "corpora" / "omw-1.4" / "mcr" / "wn-data-spa.tab").write_bytes(spoilt)
    with pytest.raises(WrongWordNet, match=r"cannot read the Open Multilingual WordNet in .*omw-1\.4"):
        Translations(["es"], places=[place]).of(DOG)


def test_nltk_reads_the_same_lemmas_from_the_same_files(tmp_path: Path) -> None:
    import nltk.data
    from nltk.corpus.reader import CorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    place = nltk_data(tmp_path)
    nltk.data.path.insert(0, str(place))
    try:
        reader = LazyCorpusLoader("omw-1.4", CorpusReader, r".*/wn-data-.*\.tab", encoding="utf8")
        files = {file for file in reader.fileids() if not file.endswith(("nld.tab", "cmn.tab"))}
        words = {
            tuple(line.split("\t")[::2])
            for file in files
            for line in reader.raw(file).splitlines()
            if ":lemma" in line and "-n\t" in line
        }
    finally:
        nltk.data.path.remove(str(place))
    found = Translations(["es", "it", "fr"], places=[place])
    ours = {
        (f"{wnid[1:]}-n", lemma)
        for wnid in (DOG, UMBRELLA)
        for lemmas in found.of(wnid).values()
        for lemma in lemmas
    }
    assert ours == words
