"""Lists of addresses: every format gives the same rows, from any position, and says where it is malformed."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import io
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_builder.config import Settings, UrlListSettings, override
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Category, Query
from imagenet_builder.sources import open_source
from imagenet_builder.sources.list_files import ListFile, Position, Wanted
from imagenet_builder.sources.matching import WordIndex, compiled, read_query, write_query
from imagenet_builder.sources.url_list import UrlList

WNID = "n04507155"
NO_SESSION: Any = None


def listed(folder: Path, name: str, content: str | bytes, **columns: str) -> ListFile:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return ListFile(name, path, UrlListSettings(paths=(name,), **columns))


def parquet(
    folder: Path, name: str, columns: dict[str, list[str | None]], rows_a_group: int = 100
) -> ListFile:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as writer

    writer.write_table(pyarrow.table(columns), folder / name, row_group_size=rows_a_group)
    return ListFile(name, folder / name, UrlListSettings(paths=(name,)))


def walk(source: UrlList, words: str) -> list[tuple[Candidate, ...]]:
    async def pages() -> list[tuple[Candidate, ...]]:
        query, found = Query(WNID, source.name, words), []
        while True:
            page = await source.search(query, NO_SESSION)
            found.append(page.candidates)
            if page.continuation is None:
                return found
            assert page.continuation != query.continuation
            query = dataclasses.replace(query, continuation=page.continuation)

    return asyncio.run(pages())


def urls(source: UrlList, words: str) -> list[str]:
    return [candidate.url for page in walk(source, words) for candidate in page]


CAPTIONS = ["a red umbrella", "Umbrellas, two", "a dog", "umbrellahead", None, "sun-umbrella\nat sea", ""]
WNIDS = [None, "", None, None, WNID, None, "n02084071"]
EXPECTED = ["http://x.example/0", "http://x.example/1", "http://x.example/4", "http://x.example/5"]


def table(folder: Path, kind: str) -> ListFile:
    columns: dict[str, Sequence[str | None]] = {
        "URL": [f"http://x.example/{n}" for n in range(7)],
        "caption": CAPTIONS,
        "wnid": WNIDS,
    }
    if kind == "parquet":
        return parquet(folder, "list.parquet", {name: list(values) for name, values in columns.items()}, 3)
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t" if kind == "tsv" else ",")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return listed(folder, f"list.{kind}", text.getvalue())


@pytest.mark.parametrize("page_size", [1, 2, 100])
@pytest.mark.parametrize("rows_at_once", [1, 3, 100])
@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_every_format_gives_the_same_rows_however_they_are_paged(
    tmp_path: Path, kind: str, page_size: int, rows_at_once: int
) -> None:
    file = table(tmp_path, kind)
    source = UrlList([file], page_size=page_size, rows_at_once=rows_at_once)
    assert urls(source, f"umbrella|brolly @ {file.place}") == EXPECTED


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["umbrella", "dog", 'an "umbrella",\r\nwet', "päraply umbrella"]), st.booleans()
        ),
        max_size=30,
    )
)
def test_reading_from_any_position_gives_the_rest(rows: list[tuple[str, bool]]) -> None:
    import tempfile

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["url", "caption", "wnid"])
    writer.writerows(
        [f"http://x.example/{n}", words, WNID if own else ""] for n, (words, own) in enumerate(rows)
    )
    with tempfile.TemporaryDirectory() as folder:
        file = listed(Path(folder), "list.csv", text.getvalue())
        wanted = Wanted([(WNID, "umbrella")])
        steps = list(file.scan(Position(), wanted))
        hits = sum("umbrella" in words or own for words, own in rows)
        assert len([row for _, row, _ in steps if row is not None]) == hits
        for number, (position, _, _) in enumerate(steps, start=1):
            assert list(file.scan(position, wanted)) == steps[number:]


def test_lines_are_matched_by_their_wnid_or_the_words_of_their_address(tmp_path: Path) -> None:
    text = (
        "# a comment\n\nn04507155_12\thttp://x.example/1.jpg\nn02084071_1 http://x.example/umbrella.jpg\n"
        "http://x.example/my%20umbrella_2.jpg\r\nhttp://umbrella.example/3.jpg"
    )
    source = UrlList([listed(tmp_path, "list.txt", text)])
    assert urls(source, "umbrella @ list.txt") == [
        "http://x.example/1.jpg",
        "http://x.example/my%20umbrella_2.jpg",
    ]


def test_licence_author_and_page_are_mapped_and_a_strange_licence_is_unknown(tmp_path: Path) -> None:
    text = (
        "url,caption,license,author,page\n"
        "http://x.example/1,umbrella,CC BY-SA 4.0,Ann,http://x.example/\n"
        "http://x.example/2,umbrella,by-nc,,\n"
        "http://x.example/3,umbrella,all mine,,\n"
        "http://x.example/4,umbrella,,,\n"
        "http://x.example/5,umbrella,https://creativecommons.org/publicdomain/zero/1.0/,,\n"
    )
    settings = override(Settings(), "url_list", paths=("list.csv",), licence="by")
    (tmp_path / "list.csv").write_text(text)
    source = open_source("url_list", settings, tmp_path)
    assert isinstance(source, UrlList)
    [found] = walk(source, "umbrella @ list.csv")
    assert [candidate.rights.licence for candidate in found] == ["by-sa", "by-nc", None, "by", "cc0"]
    assert (found[0].rights.author, found[0].page_url) == ("Ann", "http://x.example/")
    assert (found[1].rights.author, found[1].page_url) == (None, None)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (
            "l.csv",
            "url,caption\nhttp://x/1,umbrella\nhttp://x/2\n",
            r"l\.csv, line 3: 1 columns; the header has 2",
        ),
        ("l.csv", b"url,caption\nhttp://x/1,\xff\xfe\n", r"l\.csv, line 2: not UTF-8"),
        ("l.csv", 'url,caption\nhttp://x/1,"umb', r"l\.csv, line 2: unexpected end"),
        ("l.csv", "address,caption\n", r"l\.csv, line 1: no column 'url'; set url_column under \[url_list\]"),
        ("l.csv", "", r"l\.csv, line 1: no column 'url'"),
        ("l.csv", "url,text\n", r"line 1: neither a column 'caption' nor 'wnid'"),
        ("l.txt", b"http://x/1\n" + b"x" * 1_000_001, r"l\.txt, line 2: over 1000000 bytes"),
        ("l.parquet", b"PAR1 no", r"l\.parquet cannot be read as Parquet"),
    ],
)
def test_a_malformed_list_says_where(tmp_path: Path, name: str, content: str | bytes, complaint: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(SourceError, match=complaint) as caught:
        walk(UrlList([listed(tmp_path, name, content)]), f"umbrella @ {name}")
    assert "\n" not in str(caught.value)


def test_a_row_that_is_no_address_is_named_and_goes_its_way_to_fail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = UrlList(
        [listed(tmp_path, "l.csv", "url,caption\nftp:x,umbrella\nhttp://x/2,umbrella\n,umbrella\n")]
    )
    assert urls(source, "umbrella @ l.csv") == ["ftp:x", "http://x/2"]
    assert "l.csv, line 2: 'ftp:x' is not an address" in caplog.text


def test_other_names_of_columns_are_settings(tmp_path: Path) -> None:
    file = listed(
        tmp_path, "l.csv", "LINK,TEXT\nhttp://x/1,umbrella\n", url_column="link", caption_column="text"
    )
    assert urls(UrlList([file]), "umbrella @ l.csv") == ["http://x/1"]


def test_a_large_list_is_not_loaded(tmp_path: Path) -> None:
    with (tmp_path / "l.csv").open("w") as file:
        file.write("url,caption\n")
        file.writelines(f"http://x.example/{n},{'words ' * 20}{n}\n" for n in range(200_000))
    source = UrlList([ListFile("l.csv", tmp_path / "l.csv", UrlListSettings(paths=("l.csv",)))])
    size = (tmp_path / "l.csv").stat().st_size
    tracemalloc.start()
    try:
        assert urls(source, "199999 @ l.csv") == ["http://x.example/199999"]
        assert tracemalloc.get_traced_memory()[1] < size / 3
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("paths", "complaint"),
    [
        ((), r"needs `paths` under \[url_list\]"),
        (("absent.csv",), r"there is no list .*absent\.csv"),
        (("absent/*.csv",), r"there is no list .*absent/\*\.csv"),
        (("s3://bucket/*.csv",), r"s3://bucket/\*\.csv is a pattern: name each list in a bucket"),
        (("a.csv.gz",), "is compressed"),
        (("x" * 200 + ".csv",), "over 190 characters"),
    ],
)
def test_lists_that_cannot_be_used_are_named(tmp_path: Path, paths: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ProjectError, match=complaint):
        open_source("url_list", override(Settings(), "url_list", paths=paths), tmp_path)


def test_a_pattern_names_every_list_that_it_fits_in_order_and_a_file_of_that_name_only_itself(
    tmp_path: Path,
) -> None:
    (tmp_path / "parts").mkdir()
    for number in (2, 0, 1):
        text = f"url,caption\nhttp://x.example/{number},an umbrella\n"
        (tmp_path / "parts" / f"{number}.csv").write_text(text)
    (tmp_path / "parts" / "3.csv").mkdir()
    (tmp_path / "parts" / "[12].csv").write_text("url,caption\n")

    umbrella = Category("n04507155", "umbrella.n.01", "", ("umbrella",), "")

    def lists(*paths: str) -> list[str]:
        source = open_source("url_list", override(Settings(), "url_list", paths=paths), tmp_path)
        return [query.words for query in source.queries(umbrella, lambda: pytest.fail("no WordNet"))]

    assert lists("parts/?.csv", "parts/1.csv") == [f"umbrella @ parts/{number}.csv" for number in range(3)]
    assert lists("parts/[12].csv") == ["umbrella @ parts/[12].csv"]
    assert lists(f"{tmp_path}/parts/0*.csv") == [f"umbrella @ {tmp_path}/parts/0.csv"]


@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
def test_a_list_of_which_all_would_be_refused_for_want_of_a_licence_is_named(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(
        "url,caption\n" * name.endswith("csv") + "http://x.example/umbrella.jpg,umbrella\n"
    )
    settings = override(Settings(), "url_list", paths=(name,))
    words = f"umbrella @ {name}"

    def found(chosen: Settings) -> int:
        source = open_source("url_list", chosen, tmp_path)
        assert isinstance(source, UrlList)
        return len(walk(source, words))

    with pytest.raises(SourceError, match=rf"{name} has no column 'license': .* with --licence unknown"):
        found(settings)
    assert found(override(settings, "crawl", licences=("unknown",))) == 1
    assert found(override(settings, "url_list", licence="cc0")) == 1


def test_a_list_that_was_taken_out_of_the_settings_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not among `paths`"):
        walk(UrlList([]), "umbrella @ old.csv")


@pytest.mark.parametrize(
    ("words", "text", "matches"),
    [
        ("umbrella", "An UMBRELLA.", True),
        ("umbrella", "umbrellas", True),
        ("umbrella", "umbrellahead", False),
        ("dog|domestic dog", "a domestic-dog", True),
        ("beach umbrella", "umbrella", False),
        ("C++", "C+", False),
        ("*", "anything", True),
    ],
)
def test_words_are_matched_whole_and_without_case(words: str, text: str, matches: bool) -> None:
    assert bool(compiled(words).search(text)) is matches


TEXTS = st.text(alphabet="aAbBs _-+'.é犬ſK\n1", max_size=14)
PHRASES = st.text(alphabet="abs -+'é犬1", min_size=1, max_size=5).filter(str.strip)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.lists(PHRASES, min_size=1, max_size=3), min_size=1, max_size=6), st.lists(TEXTS, max_size=8)
)
def test_an_index_of_words_finds_what_each_expression_finds(
    categories: list[list[str]], texts: list[str]
) -> None:
    sought = ["|".join(phrases) for phrases in categories]
    index = WordIndex(sought)
    # Phrases themselves are texts too, with and without what may stand around them.
    for text in [*texts, *(f"{words}s" for words in sought), *(f"_{words} {words}" for words in sought)]:
        expected = [number for number, words in enumerate(sought) if compiled(words).search(text)]
        assert list(index.matches(text)) == expected, text


def test_an_index_of_words_finds_everything_for_a_category_that_wants_everything() -> None:
    assert list(WordIndex(["umbrella", "*"]).matches("")) == [1]
    assert list(WordIndex(["umbrella", "*"]).matches("umbrellas")) == [0, 1]


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_a_scan_for_several_queries_gives_each_what_a_search_gives_it(tmp_path: Path, kind: str) -> None:
    file = table(tmp_path, kind)
    source = UrlList([file], rows_at_once=2, matches_at_once=2)
    dog = Query("n02084071", source.name, f"dog @ {file.place}")
    further = json.dumps({"offset": list(file.scan(Position(), Wanted([(WNID, "umbrella")])))[1][0].offset})
    umbrella = Query(WNID, source.name, f"umbrella @ {file.place}", continuation=further)
    found: dict[str, list[str]] = {WNID: [], "n02084071": []}

    async def scan() -> None:
        asked = {dog, umbrella}
        while asked:
            pages = await source.scan(sorted(asked, key=lambda query: query.wnid), NO_SESSION)
            assert pages
            for query, page in pages.items():
                asked.remove(query)
                found[query.wnid] += [candidate.url for candidate in page.candidates]
                if page.continuation is not None:
                    assert page.continuation != query.continuation
                    asked.add(dataclasses.replace(query, continuation=page.continuation))

    asyncio.run(scan())
    assert found[WNID] == EXPECTED[2:]
    assert found["n02084071"] == ["http://x.example/2", "http://x.example/6"]


@given(st.lists(st.text(alphabet="abcdefgh_", min_size=1, max_size=40), min_size=1, max_size=20))
def test_a_query_fits_the_store_and_is_read_back(lemmas: list[str]) -> None:
    words = write_query(Category(WNID, "x.n.01", "", tuple(lemmas), ""), "lists/" + "p" * 180)
    sought, place = read_query(words)
    assert len(words) <= 255
    assert place == "lists/" + "p" * 180
    assert set(sought.split("|")) <= {lemma.replace("_", " ") for lemma in lemmas}
