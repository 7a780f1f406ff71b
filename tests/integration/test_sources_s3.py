"""Lists of addresses in a bucket are read in ranges, as files of this machine are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from imagenet_builder.config import Settings, override
from imagenet_builder.errors import SourceError
from imagenet_builder.records import Query
from imagenet_builder.sources import ScanningSource, open_source

NO_SESSION: Any = None


def search(settings: Settings, folder: Path, place: str) -> list[str]:
    source = open_source("url_list", settings, folder)
    query = Query("n04507155", "url_list", f"umbrella @ {place}")
    page = asyncio.run(source.search(query, NO_SESSION))
    assert page.continuation is None
    return [candidate.url for candidate in page.candidates]


def scan(settings: Settings, folder: Path, place: str) -> dict[str, list[str]]:
    source = open_source("url_list", settings, folder)
    assert isinstance(source, ScanningSource)
    words = {"n04507155": "umbrella", "n02084071": "dog"}
    asked = [Query(wnid, "url_list", f"{word} @ {place}") for wnid, word in words.items()]
    pages = asyncio.run(source.scan(asked, NO_SESSION))
    assert [page.continuation for page in pages.values()] == [None, None]
    return {query.wnid: [candidate.url for candidate in page.candidates] for query, page in pages.items()}


@pytest.mark.usefixtures("moto_keys")
def test_lists_in_a_bucket_are_read(tmp_path: Path) -> None:
    import boto3

    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    rows = [(f"http://x.example/{n}", "an umbrella" if n % 1000 == 7 else "a dog") for n in range(5000)]
    table = pyarrow.table({"url": [url for url, _ in rows], "caption": [words for _, words in rows]})
    parquet.write_table(table, tmp_path / "list.parquet", row_group_size=512)
    text = "url,caption\n" + "".join(f"{url},{words}\n" for url, words in rows)
    (tmp_path / "list.csv").write_text(text)
    client = boto3.client("s3")
    client.create_bucket(Bucket="lists")
    expected = [f"http://x.example/{n}" for n in range(7, 5000, 1000)]
    for name in ("list.csv", "list.parquet"):
        client.upload_file(str(tmp_path / name), "lists", f"some/{name}")
        place = f"s3://lists/some/{name}"
        settings = override(Settings(), "url_list", paths=(place,), licence="by")
        assert search(settings, tmp_path, place) == expected
        found = scan(settings, tmp_path, place)
        assert found["n04507155"] == expected
        assert len(found["n02084071"]) == 4995
    absent = "s3://lists/some/absent.csv"
    with pytest.raises(SourceError, match=r"cannot read the list s3://lists/some/absent.csv: .*\[url_list\]"):
        search(override(Settings(), "url_list", paths=(absent,)), tmp_path, absent)
