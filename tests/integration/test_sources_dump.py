"""iNaturalist's open-data dump: taxa and what is below them, best first, read once; changed, killed and malformed."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hits import database
from imagenet_builder.config import InaturalistSettings, Settings, override
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.errors import ProjectError, SourceError
from imagenet_builder.records import Candidate, Query
from imagenet_builder.sources import ScanningSource, open_source
from imagenet_builder.sources.dump_files import Dump
from imagenet_builder.sources.inaturalist_dump import INDEX_NAME, INaturalistDump
from imagenet_builder.store.tables import categories
from tests.builder_store import add_categories, empty_project
from tests.inaturalist_dump import observation_uuid, tables, write_dump

NO_SESSION: Any = None
ROOT = Path(__file__).parents[2]
ALL = ["cc0", "by", "by-sa", "by-nc"]


def dumped(folder: Path, licences: list[str] = ALL, **settings: Any) -> INaturalistDump:
    """The source on the dump in `folder`/dump, which is made if there is none."""
    if not (folder / "dump").exists():
        write_dump(folder / "dump")
    options = {"photos": settings.pop("photos")} if "photos" in settings else {}
    chosen = dataclasses.replace(InaturalistSettings(dump="dump"), **settings)
    return INaturalistDump(chosen, licences, folder, page_size=3, **options)


def walk(source: INaturalistDump, *names: str) -> dict[str, list[Candidate]]:
    """Everything that scans for `names` give."""

    async def scan() -> dict[str, list[Candidate]]:
        found: dict[str, list[Candidate]] = {name: [] for name in names}
        asked = [Query("n13003061", "inaturalist", name, "la") for name in names]
        while asked:
            pages = await source.scan(asked, NO_SESSION)
            assert pages
            for query, page in pages.items():
                found[query.words] += page.candidates
            asked = [
                dataclasses.replace(query, continuation=page.continuation)
                for query, page in pages.items()
                if page.continuation is not None
            ]
        return found

    return asyncio.run(scan())


def photos(candidates: list[Candidate]) -> list[int]:
    return [int(candidate.url.split("/")[-2]) for candidate in candidates]


def test_taxa_below_are_included_and_the_first_photo_of_each_observation_comes_before_second_ones(
    tmp_path: Path,
) -> None:
    found = walk(
        dumped(tmp_path), "Amanita muscaria", "genus Amanita", "family Amanitaceae", "Oenanthe", "Rosa"
    )
    muscaria = [1, 2, 6, 7, 8, 9]
    assert photos(found["Amanita muscaria"]) == [100 + 2 * n + place for place in (0, 1) for n in muscaria]
    # The genus has one observation more, but that is a casual one; the family one of its own.
    assert photos(found["genus Amanita"]) == photos(found["Amanita muscaria"])
    family = [1, 2, 5, 6, 7, 8, 9]
    assert photos(found["family Amanitaceae"]) == [100 + 2 * n + place for place in (0, 1) for n in family]
    # Two genera are called so, and nothing is called so.
    assert found["Oenanthe"] == found["Rosa"] == []


@pytest.mark.parametrize(
    ("quality", "expected"), [("needs_id", [1, 2, 6, 7, 8, 9, 0]), ("any", [1, 2, 6, 7, 8, 9, 0, 3])]
)
def test_research_grade_comes_first_where_more_is_allowed(
    quality: str, expected: list[int], tmp_path: Path
) -> None:
    [found] = walk(dumped(tmp_path, quality=quality), "genus Amanita").values()
    order = list(dict.fromkeys((photo - 100) // 2 for photo in photos(found)))
    assert order == expected
    assert [candidate.rank for candidate in found] == list(range(1, len(found) + 1))


def test_licence_author_page_and_size_are_told(tmp_path: Path) -> None:
    [found] = walk(dumped(tmp_path, ["by", "by-nc"], size="medium"), "Amanita muscaria").values()
    assert photos(found) == [102, 116, 118, 103, 117, 119]
    first, eighth = found[0], found[1]
    assert first.url == "https://inaturalist-open-data.s3.amazonaws.com/photos/102/medium.jpg"
    assert first.original_url == "https://inaturalist-open-data.s3.amazonaws.com/photos/102/original.jpg"
    assert first.page_url == f"https://www.inaturalist.org/observations/{observation_uuid(1)}"
    assert (first.rights.licence, first.rights.author, first.title) == ("by-nc", "bo", "Amanita muscaria")
    assert (first.width, first.height) == (500, 375)
    # Its observer is not in the dump any more.
    assert (eighth.rights.licence, eighth.rights.author, eighth.rights.credit) == ("by", None, None)
    [whole] = walk(dumped(tmp_path, size="original"), "Amanita muscaria").values()
    assert whole[0].original_url is None
    assert [candidate.rights.author for candidate in whole[2:3]] == ['Ann "A" Example']
    variety = next(candidate for candidate in whole if "104" in candidate.url)
    assert (variety.title, variety.width) == ("Amanita muscaria flavivolvata", None)


class CountedDump(Dump):
    """It notes which tables were read."""

    def __init__(self, folder: Path) -> None:
        super().__init__("dump", folder)
        self.read: list[str] = []

    def rows(self, table: str, columns: Any) -> Any:
        self.read.append(table)
        return super().rows(table, columns)


def counted(folder: Path, **options: str) -> tuple[INaturalistDump, CountedDump]:
    source, dump = dumped(folder, ALL, **options), CountedDump(folder)
    source._index._dump = dump
    return source, dump


def test_the_dump_is_read_once_for_all_names_and_again_for_new_ones_or_when_it_changes(
    tmp_path: Path,
) -> None:
    source, dump = counted(tmp_path)
    names = ("Amanita muscaria", "genus Amanita", "Canis familiaris")
    first = walk(source, *names)
    assert dump.read == ["taxa", "taxa", "observations", "photos", "observers"]
    assert walk(source, *names) == first
    again, dump = counted(tmp_path)
    assert walk(again, *names) == first
    assert dump.read == []
    more = walk(again, "family Amanitaceae", "genus Amanita")
    assert dump.read == ["taxa", "taxa", "observations", "photos", "observers"]
    assert more["genus Amanita"] == first["genus Amanita"]
    assert (
        more["family Amanitaceae"]
        == walk(dumped_afresh(tmp_path), "family Amanitaceae")["family Amanitaceae"]
    )
    rows = tables()
    rows["observations"] = [row for row in rows["observations"] if row[0] != observation_uuid(9)]
    write_dump(tmp_path / "dump", rows=rows)
    changed, dump = counted(tmp_path)
    assert photos(walk(changed, "genus Amanita")["genus Amanita"])[-1] == 117
    assert dump.read == ["taxa", "taxa", "observations", "photos", "observers"]


def dumped_afresh(folder: Path) -> INaturalistDump:
    (folder / "afresh").mkdir()
    return dumped(folder / "afresh")


def read_slowly(folder: str) -> None:
    """What a reading process runs: the observations come slowly, then the photos."""
    source = dumped(Path(folder))

    class SlowDump(Dump):
        def rows(self, table: str, columns: Any) -> Any:
            (Path(folder) / f"reading-{table}").touch()
            for row in super().rows(table, columns):
                time.sleep(0.2 if table in ("photos", "observations") else 0)
                yield row

    source._index._dump = SlowDump("dump", Path(folder))
    walk(source, "genus Amanita")


@pytest.mark.parametrize(
    ("table", "left"),
    [
        # The names are known: taxa are read for what is below them.
        ("observations", ["taxa", "observations", "photos", "observers"]),
        ("photos", ["taxa", "photos", "observers"]),
    ],
)
def test_killed_while_a_table_is_read_the_next_run_begins_with_that_table(
    table: str, left: list[str], tmp_path: Path
) -> None:
    write_dump(tmp_path / "dump")
    code = f"from {__name__} import read_slowly; read_slowly({str(tmp_path)!r})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
        while not (tmp_path / f"reading-{table}").exists():
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(0.4)
        process.send_signal(signal.SIGKILL)
    source, dump = counted(tmp_path)
    found = walk(source, "genus Amanita")
    assert photos(found["genus Amanita"]) == photos(
        walk(dumped_afresh(tmp_path), "genus Amanita")["genus Amanita"]
    )
    assert dump.read == left


@pytest.mark.parametrize(
    ("table", "spoil", "complaint"),
    [
        (
            "photos",
            lambda text: text.replace(b"license", b"licence"),
            r"photos\.csv\.gz, line 1: no column 'license'",
        ),
        (
            "photos",
            lambda text: text.replace(b"\t0\n", b"\n", 1),
            r"photos\.csv\.gz, line 3: 8 columns; .* has 9",
        ),
        ("observations", lambda text: text.replace(b"-", b"x", 1), r"dump: observations, line 2: "),
        (
            "photos",
            lambda text: text.replace(b"2048", b"wide", 1),
            r"dump: photos, line \d+: invalid literal",
        ),
    ],
)
def test_a_malformed_table_is_named_with_its_line(
    table: str, spoil: Any, complaint: str, tmp_path: Path
) -> None:
    write_dump(tmp_path / "dump")
    path = tmp_path / "dump" / f"{table}.csv.gz"
    path.write_bytes(gzip.compress(spoil(gzip.decompress(path.read_bytes()))))
    with pytest.raises(SourceError, match=complaint) as caught:
        walk(dumped(tmp_path), "genus Amanita")
    assert "\n" not in str(caught.value)


def test_a_dump_that_is_cut_short_or_not_whole_and_a_damaged_index_are_named(tmp_path: Path) -> None:
    write_dump(tmp_path / "dump")
    path = tmp_path / "dump" / "photos.csv.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"dump/photos\.csv\.gz is damaged: .*; fetch it again"):
        walk(dumped(tmp_path), "genus Amanita")
    path.unlink()
    with pytest.raises(
        SourceError, match=r"there is no photos\.csv\.gz in the dump dump; is \[inaturalist\] dump"
    ):
        walk(dumped(tmp_path), "genus Amanita")
    path.write_bytes(whole)
    (tmp_path / INDEX_NAME).write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(SourceError, match=r"cannot use the index .*; delete it, and it is made again"):
        walk(dumped(tmp_path), "genus Amanita")


def test_the_settings_choose_the_dump_and_are_checked(tmp_path: Path) -> None:
    write_dump(tmp_path / "dump", suffix=".csv")
    # Nobody's API is asked: no contact is needed.
    source = open_source("inaturalist", override(Settings(), "inaturalist", dump="dump"), tmp_path)
    assert isinstance(source, INaturalistDump)
    assert isinstance(source, ScanningSource)
    with pytest.raises(
        ProjectError, match=r"there is no folder .*absent: correct `dump` under \[inaturalist\]"
    ):
        open_source("inaturalist", override(Settings(), "inaturalist", dump="absent"), tmp_path)


@pytest.mark.usefixtures("moto_keys")
@pytest.mark.parametrize("bucket", ["inaturalist-open-data", "another"])
def test_a_dump_in_a_bucket_is_read(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    write_dump(tmp_path / "dump")
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    for table in tables():
        name = f"{table}.csv.gz"
        client.upload_file(str(tmp_path / "dump" / name), bucket, name, {"ACL": "public-read"})
    if bucket == "inaturalist-open-data":
        # Everybody may read the dump's own bucket; those without keys too.
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(variable)
    here = walk(dumped(tmp_path), "genus Amanita")
    (tmp_path / INDEX_NAME).unlink()
    assert walk(dumped(tmp_path, dump=f"s3://{bucket}"), "genus Amanita") == here
    if bucket == "another":
        with pytest.raises(SourceError, match=r"there is no taxa\.csv\.gz in the dump s3://"):
            walk(dumped(tmp_path, dump=f"s3://{bucket}/absent"), "genus Amanita")


def test_a_crawl_takes_candidates_for_all_categories_out_of_one_reading(tmp_path: Path) -> None:
    project = empty_project(tmp_path, crawl={"licences": ALL}, inaturalist={"dump": "dump"})
    add_categories(project, "n13003061", "n02084071")
    with database.writing(project.engine) as connection:
        for wnid, lemma in (("n13003061", "Amanita_muscaria"), ("n02084071", "Canis_familiaris")):
            connection.execute(
                categories.update().where(categories.c.wnid == wnid).values(lemmas=["thing", lemma])
            )
    # Photos that are no web addresses: nothing leaves this machine.
    source, dump = counted(tmp_path, photos="file:///nowhere")
    report = crawl(project, sources=[source])
    assert (report.new_candidates, report.source_errors, report.without_candidates) == (14, (), ())
    assert dump.read == ["taxa", "taxa", "observations", "photos", "observers"]
