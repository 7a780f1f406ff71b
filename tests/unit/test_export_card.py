"""The dataset card, the datasheet and the Croissant document: what they say, and what they leave open."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import yaml

from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.card import hub_licences, readme
from imagenet_builder.export.choose import Choice, Sizes
from imagenet_builder.export.datasheet import datasheet
from imagenet_builder.export.description import Release, ReleaseClass, ReleasePicture, ReleasePictures
from imagenet_builder.export.documents import licences_text
from imagenet_builder.export.facts import Facts, licence_name, one_line
from imagenet_builder.export.formats.croissant import check_croissant, croissant
from imagenet_builder.export.plan import Plan
from imagenet_builder.export.request import Counts, ExportRequest
from imagenet_builder.export.tree import Listed
from imagenet_builder.records import Rights, Split
from imagenet_builder.store.export import Crowd
from imagenet_builder.store.provenance import Provenance

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
WNID = "n01440764"
TITLE = 'Fish: "all" #1\nand more'
FILES = {name: Listed(7, "0" * 64) for name in ("images.parquet", "data/train-00000-of-00001.parquet")}


def a_plan(pictures: int = 3, *, splits: tuple[Split, ...] = tuple(Split)[:3]) -> Plan:
    one = ReleaseClass(WNID, 0, 1, "tench.n.01", ("tench",), "a fish", pictures, pictures, pictures)
    shown = ReleasePictures.of(
        [WNID],
        [
            ReleasePicture(split, WNID, f"{number:064x}", number)
            for split in splits
            for number in range(pictures)
        ],
    )
    counts = Counts(pictures, pictures, pictures, 0, 0, 0, 0, 0, 0)
    rows = np.arange(len(shown))
    return Plan(Release(TITLE, (one,), (), shown), Choice((WNID,), ()), counts, 1, (), rows, rows)


def facts(
    *licences: Rights, crowd: Crowd | None = None, rule: str = "majority", source: str = "folder"
) -> Facts:
    counted = Facts(crowd or Crowd(0, 0, None, live=False))
    for number, rights in enumerate(licences):
        when = NOW + timedelta(days=number)
        one = Provenance(
            source, "https://x.example/1", None, None, rights, when, rule, 0.9, 3, 1, 0, 0, number
        )
        counted.add([one])
    return counted


BY, CC0 = Rights("by", "4.0", "https://creativecommons.org/licenses/by/4.0/"), Rights("cc0")


def request(*formats: str) -> ExportRequest:
    return ExportRequest(Sizes(1, 1, 1, 9), classes=1, formats=formats)


def header(text: bytes) -> dict[str, Any]:
    _, yaml_text, _ = text.decode().split("---\n", 2)
    loaded: dict[str, Any] = yaml.safe_load(yaml_text)
    return loaded


def test_the_header_is_yaml_whatever_the_title_is() -> None:
    loaded = header(readme(a_plan(), request("ilsvrc"), facts(BY, CC0)))
    assert loaded["pretty_name"] == TITLE
    assert loaded["license"] == ["cc-by-4.0", "cc0-1.0"]
    assert loaded["task_categories"] == ["image-classification"]
    assert loaded["size_categories"] == ["n<1K"]
    assert "license_link" not in loaded


@pytest.mark.parametrize(
    ("pictures", "category"), [(333, "n<1K"), (334, "1K<n<10K"), (3334, "10K<n<100K"), (34_000, "100K<n<1M")]
)
def test_the_size_category_is_the_hub_s(pictures: int, category: str) -> None:
    assert header(readme(a_plan(pictures), request("ilsvrc"), facts(BY)))["size_categories"] == [category]


def test_licences_that_the_hub_does_not_know_are_other_and_linked() -> None:
    mixed = facts(BY, Rights("gfdl", "1.2"), Rights(None))
    assert hub_licences(mixed) == ["cc-by-4.0", "other"]
    loaded = header(readme(a_plan(), request("ilsvrc"), mixed))
    assert loaded["license_link"] == "LICENSES.txt"


@pytest.mark.parametrize(
    ("formats", "paths"),
    [
        (("ilsvrc", "webdataset", "parquet"), ["data/train-*.parquet", "data/validation-*.parquet"]),
        (("ilsvrc", "webdataset"), ["webdataset/train-*.tar", "webdataset/validation-*.tar"]),
        (("ilsvrc", "kaggle"), ["train/**", "val/**"]),
    ],
)
def test_the_header_points_to_one_kind_of_files(formats: tuple[str, ...], paths: list[str]) -> None:
    text = readme(a_plan(splits=(Split.TRAIN, Split.VAL)), request(*formats), facts(BY))
    (config,) = header(text)["configs"]
    assert config["config_name"] == "default"
    assert [one["path"] for one in config["data_files"]] == paths
    assert [one["split"] for one in config["data_files"]] == ["train", "validation"]


def test_what_licences_forbid_or_ask_for_is_told_with_numbers_and_only_where_they_occur() -> None:
    mixed = facts(BY, Rights("by-nc-sa", "2.0"), Rights("by-nc", "4.0"), Rights("by-nd", "4.0"), Rights(None))
    for text in (readme(a_plan(), request("ilsvrc"), mixed), datasheet(a_plan(), request("ilsvrc"), mixed)):
        told = text.decode()
        assert "- Not to be used for commercial purposes (NC): 2 pictures.\n" in told
        assert "- Not to be passed on in an altered form (ND): 1 pictures.\n" in told
        assert "- To be adapted only under the same licence (SA): 1 pictures.\n" in told
        assert "- No licence stated by the source" in told
    plain = readme(a_plan(), request("ilsvrc"), facts(BY, CC0, Rights("gfdl", "1.2"))).decode()
    assert not any(word in plain for word in ("commercial", "altered", "No licence stated", "be adapted"))


def test_whatever_a_source_calls_a_licence_the_table_stays_a_table() -> None:
    text = readme(
        a_plan(), request("ilsvrc"), facts(Rights("mine | yours", None, "https://x.example/a|b"))
    ).decode()
    assert "| mine \\| yours | https://x.example/a\\|b | 1 |" in text


def test_what_is_sealed_is_named_and_only_what_is_there() -> None:
    both, no = a_plan(splits=tuple(Split)), a_plan(splits=tuple(Split)[:2])
    for make in (readme, datasheet):
        for plan, files in ((both, "`test.sealed`, `replicate.sealed`"), (a_plan(), "`test.sealed`")):
            told = make(plan, request("ilsvrc"), facts(BY)).decode()
            assert files in told
            assert ("replicate.sealed" in told) is (plan is both)
        assert b".sealed" not in make(no, request("ilsvrc"), facts(BY))


def test_what_a_source_says_becomes_neither_markup_nor_a_link_nor_a_line() -> None:
    hostile = facts(
        Rights("by\x1b[31m", "4.0\n<b>", "javascript:alert(1)"), Rights("by", "3.0", "https://x.example/<i>")
    )
    for text in (readme(a_plan(), request("ilsvrc"), hostile), licences_text(hostile)):
        told = text.decode()
        assert not any(word in told for word in ("javascript:", "\x1b", "x.example"))
    table = readme(a_plan(), request("ilsvrc"), hostile).decode()
    assert "| by[31m 4.0 &lt;b> |  | 1 |" in table
    assert len(licences_text(hostile).decode().splitlines()) == 4
    document = croissant(a_plan().release, request("parquet", "croissant"), hostile, FILES)
    assert json.loads(document)["license"] == ["CC BY 3.0", "by[31m 4.0 <b>"]


def test_one_line_is_shown_as_it_stands() -> None:
    assert one_line("a\u202e gpj\x1b[2J\r\nb\x85c\u2028d") == "a gpj[2J b c d"
    assert one_line(None) == one_line("\x1b\u202e") == ""
    assert one_line("שלום 😀 é") == "שלום 😀 é"


def test_the_datasheet_tells_how_likely_labels_are_right_by_the_rules() -> None:
    estimated = facts(BY, CC0, rule="dawid-skene")
    assert b"90.0% of the 2 labels whose rule estimates" in datasheet(a_plan(), request("ilsvrc"), estimated)
    for silent in (facts(), facts(BY, CC0, rule="majority")):
        assert b"to be right: **Open.**" in datasheet(a_plan(), request("ilsvrc"), silent)


def test_the_documents_tell_pictures_that_were_searched_for_from_the_makers_own() -> None:
    def told(found: Facts) -> str:
        return " ".join(
            text
            for make in (readme, datasheet)
            for text in make(a_plan(), request("ilsvrc"), found).decode().split()
        )

    def described(found: Facts) -> str:
        return croissant(a_plan().release, request("parquet", "croissant"), found, FILES).decode()

    own, searched, both = facts(BY, CC0), facts(BY, source="wikimedia"), facts(BY, CC0)
    both.sources.update(wikimedia=5, flickr=7)
    for found in (own, both):
        assert "pictures that the makers of the dataset had" in told(found)
    assert "makers had" not in told(searched)
    for found in (searched, both):
        assert "found by searching open picture sources" in told(found)
        assert "come from public pages" in told(found)
        assert "sources were searched" in described(found)
    assert not any(word in described(own) for word in ("searche", "public pages", "open sources"))
    assert not any(word in told(own) for word in ("searching", "searches", "public pages", "open sources"))
    assert "these sources: flickr (7), wikimedia (5); its makers had the others: folder (2)." in told(both)


def test_a_release_that_datasets_cannot_load_has_no_configuration() -> None:
    assert "configs" not in header(readme(a_plan(), request("mds", "kaggle"), facts(BY)))


def test_the_datasheet_answers_what_the_store_knows_and_leaves_the_rest_open() -> None:
    crowd = Crowd(12, 340, (32, 40), live=True)
    text = datasheet(a_plan(), request("ilsvrc"), facts(BY, CC0, crowd=crowd)).decode()
    assert "12 workers answered 340 pages in the whole project, at USD 0.32 to 0.40 a page." in text
    assert "6 yes, 2 no, 0 unsure, 0 broken, 1 report" in text
    assert "From 2026-05-04 to 2026-05-05" in text
    assert "folder (2)" in text
    assert text.count("**Open.**") >= 10
    assert "$" not in text


def test_what_a_sandbox_paid_is_not_told_as_money() -> None:
    text = datasheet(a_plan(), request("ilsvrc"), facts(BY, crowd=Crowd(3, 4, (32, 32), live=False)))
    assert b"at USD 0.32 a page in play money" in text
    assert b"The store holds no assignments" in datasheet(a_plan(), request("ilsvrc"), facts(BY))


def test_croissant_names_checksums_licences_and_only_what_is_known() -> None:
    document = json.loads(
        croissant(a_plan().release, request("parquet", "croissant"), facts(BY, Rights("pd")), FILES)
    )
    assert document["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"
    assert document["license"] == ["https://creativecommons.org/licenses/by/4.0/", "public domain"]
    assert document["rai:annotationsPerItem"] == "4 to 5 votes"
    assert document["rai:dataCollectionTimeframe"] == ["2026-05-04T12:00:00", "2026-05-05T12:00:00"]
    assert {one["sha256"] for one in document["distribution"] if one["@type"] == "cr:FileObject"} == {
        "0" * 64
    }
    for unknown in ("creator", "datePublished", "url", "rai:dataAnnotationPlatform"):
        assert unknown not in document


def test_croissant_without_files_to_describe_is_refused() -> None:
    with pytest.raises(ReleaseError, match="add --format parquet"):
        check_croissant(("mds", "croissant"))


@pytest.mark.parametrize(
    ("rights", "name"),
    [
        (Rights("by-sa", "3.0"), "CC BY-SA 3.0"),
        (Rights("cc0", "1.0"), "CC0 1.0"),
        (Rights("pdm"), "public domain"),
        (Rights(), "licence not stated"),
        (Rights("free  art\nlicence"), "free art licence"),
    ],
)
def test_licences_are_named_as_people_write_them(rights: Rights, name: str) -> None:
    assert licence_name(rights) == name
