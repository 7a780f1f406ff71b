"""Lists of addresses in a crawl: one pass for all categories, from wherever each stands, killed or not."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from hits import database
from imagenet_builder.config import UrlListSettings, override
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.project import Project, find_project
from imagenet_builder.sources import ScanningSource
from imagenet_builder.sources.list_files import ListFile, Position, Step, Wanted
from imagenet_builder.sources.url_list import UrlList
from imagenet_builder.store import tables
from tests.builder_store import add_categories, empty_project

WNIDS = ("n04507155", "n07734744", "n02084071", "n02121808")
ROOT = Path(__file__).parents[2]
ROWS = 4000


class WatchedList(ListFile):
    """A list that notes which rows were read: from where on, and to where."""

    spans: list[tuple[int, int]]

    def scan(self, start: Position, wanted: Wanted) -> Iterator[Step]:
        if not hasattr(self, "spans"):
            self.spans = []
        self.spans.append((start.line, start.line))
        for step in super().scan(start, wanted):
            self.spans[-1] = (start.line, step[0].line)
            yield step


def address(number: int) -> str:
    # No web address: fetching it fails at once, and nothing leaves this machine.
    return f"file:///nowhere/{number}.jpg"


def write_list(folder: Path) -> None:
    """Every 2nd row is of thing0, every 50th of thing1, and the last one of thing2; some are of none."""
    rows = ["url,caption,license"]
    for number in range(ROWS):
        words = ["a thing0"] * (number % 2 == 0) + ["thing1, red"] * (number % 50 == 0) + ["something"]
        rows.append(f'{address(number)},"{" and ".join(words)}",by')
    rows[-1] = f"{address(ROWS - 1)},The Thing2s,by"
    (folder / "list.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def project_for(folder: Path, per_category: int = ROWS) -> Project:
    project = empty_project(
        folder,
        crawl={"per_category": per_category, "sources": ["url_list"], "drop_after": 0},
        url_list={"paths": ["list.csv"]},
    )
    add_categories(project, *WNIDS[:3])
    write_list(folder)
    return project


def watched(project: Project, rows_at_once: int = 500) -> tuple[UrlList, WatchedList]:
    file = WatchedList("list.csv", project.folder / "list.csv", UrlListSettings(paths=("list.csv",)))
    return UrlList([file], rows_at_once=rows_at_once), file


def found(project: Project) -> dict[str, list[tuple[str, int]]]:
    """Each category's addresses and ranks, in the order in which they were found."""
    c = tables.candidates.c
    with database.reading(project.engine) as connection:
        rows = connection.execute(sa.select(c.wnid, c.url, c.rank).order_by(c.wnid, c.id)).all()
    return {wnid: [(row.url, row.rank) for row in rows if row.wnid == wnid] for wnid in WNIDS}


def expected() -> dict[str, list[tuple[str, int]]]:
    of = {
        WNIDS[0]: range(0, ROWS, 2),
        WNIDS[1]: range(0, ROWS, 50),
        WNIDS[2]: range(ROWS - 1, ROWS),
        WNIDS[3]: range(0),
    }
    return {wnid: [(address(n), rank) for rank, n in enumerate(numbers, 1)] for wnid, numbers in of.items()}


def test_one_pass_over_a_list_serves_all_categories(tmp_path: Path) -> None:
    project = project_for(tmp_path)
    source, file = watched(project)
    assert isinstance(source, ScanningSource)
    report = crawl(project, sources=[source])
    assert found(project) == expected()
    assert report.without_candidates == ()
    # Each part begins where the one before ended: no row is read twice, however many categories there are.
    begins, ends = [begin for begin, _ in file.spans], [end for _, end in file.spans]
    assert begins == [0, *ends[:-1]]
    assert len(begins) > 4
    assert report.pages == 3 * len(begins)
    spans = len(file.spans)
    assert crawl(project, sources=[source]).pages == 0
    assert len(file.spans) == spans


def test_a_list_that_grew_is_read_again_when_asked_for_and_brings_what_was_added(tmp_path: Path) -> None:
    project = project_for(tmp_path)
    crawl(project, sources=[watched(project)[0]])
    with (tmp_path / "list.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{address(number)},a thing1,by\n" for number in (ROWS, ROWS + 1))
    rested = crawl(project, sources=[watched(project)[0]])
    assert (rested.pages, rested.exhausted_queries) == (0, 3)
    again = crawl(project, again=True, wnids=WNIDS[1:3], sources=[watched(project)[0]])
    assert (again.new_candidates, again.dropped_queries, again.exhausted_queries) == (2, 0, 0)
    urls = {wnid: [url for url, _ in pairs] for wnid, pairs in found(project).items()}
    assert urls == {wnid: [url for url, _ in pairs] for wnid, pairs in expected().items()} | {
        WNIDS[1]: [address(number) for number in (*range(0, ROWS, 50), ROWS, ROWS + 1)]
    }
    # What a query had found before itself does not speak against it.
    with database.reading(project.engine) as connection:
        assert connection.scalar(sa.select(sa.func.sum(tables.queries.c.known))) == 0
    # It read to the end: who was not asked again rests, and so does everybody once more.
    assert crawl(project, sources=[watched(project)[0]]).exhausted_queries == 3


def test_asking_again_goes_on_where_it_was_stopped_and_does_not_begin_once_more(tmp_path: Path) -> None:
    project = project_for(tmp_path, per_category=ROWS // 2)
    crawl(project, wnids=WNIDS[:1], sources=[watched(project)[0]])
    with (tmp_path / "list.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{address(number)},a thing0,by\n" for number in range(ROWS, ROWS + 40))
    wanting = [
        dataclasses.replace(
            project, settings=override(project.settings, "crawl", per_category=ROWS // 2 + more)
        )
        for more in (20, 40)
    ]
    some = crawl(wanting[0], again=True, wnids=WNIDS[:1], sources=[watched(project)[0]])
    assert some.new_candidates == 20
    source, going_on = watched(project)
    assert crawl(wanting[1], wnids=WNIDS[:1], sources=[source]).new_candidates == 20
    assert going_on.spans[0][0] > ROWS / 2


def test_reading_ends_when_every_category_has_enough_and_goes_on_when_more_is_wanted(tmp_path: Path) -> None:
    project = project_for(tmp_path, per_category=20)
    with database.writing(project.engine) as connection:
        connection.execute(tables.categories.delete().where(tables.categories.c.wnid == WNIDS[2]))
    source, file = watched(project, rows_at_once=300)
    assert crawl(project, sources=[source]).new_candidates == 40
    assert found(project) == {wnid: pairs[:20] for wnid, pairs in expected().items()} | {WNIDS[2]: []}
    assert file.spans[-1][1] < ROWS / 2
    more = dataclasses.replace(project, settings=override(project.settings, "crawl", per_category=ROWS))
    crawl(more, sources=[source])
    assert found(project) == expected() | {WNIDS[2]: []}


def test_a_category_that_comes_later_reads_from_the_start_and_the_others_stay_where_they_are(
    tmp_path: Path,
) -> None:
    project = project_for(tmp_path)
    with database.writing(project.engine) as connection:
        connection.execute(tables.categories.delete().where(tables.categories.c.wnid == WNIDS[0]))
    crawl(project, sources=[watched(project)[0]])
    add_categories(project, WNIDS[0])
    source, _ = watched(project)
    report = crawl(project, sources=[source])
    assert found(project) == expected()
    assert report.new_candidates == ROWS / 2


def test_a_malformed_row_costs_nothing_that_stands_before_it_and_is_named(tmp_path: Path) -> None:
    project = project_for(tmp_path)
    path = project.folder / "list.csv"
    rows = path.read_text().splitlines()
    rows.insert(1234, "only one column")
    path.write_text("\n".join(rows) + "\n")
    report = crawl(project, sources=[watched(project)[0]])
    [error] = report.source_errors
    assert error == "source url_list: list.csv, line 1235: 1 columns; the header has 3"
    before = {address(number) for number in range(1233)}
    assert found(project) == {
        wnid: [pair for pair in pairs if pair[0] in before] for wnid, pairs in expected().items()
    }
    # Mended in place, the list is read on from where it stood: nothing is missing, nothing twice.
    rows[1234] = rows.pop(1235)
    path.write_text("\n".join(rows) + "\n")
    assert crawl(project, sources=[watched(project)[0]]).source_errors == ()
    assert found(project) == expected()


def crawl_slowly(folder: str, wanted: int) -> None:
    """What a crawling process runs: many parts, each recorded before the next; it waits once `wanted` are found."""
    project = find_project(Path(folder))

    class SlowList(ListFile):
        def scan(self, start: Position, wanted_by: Wanted) -> Iterator[Step]:
            time.sleep(0.1 if sum(map(len, found(project).values())) < wanted else 600)
            return super().scan(start, wanted_by)

    file = SlowList("list.csv", project.folder / "list.csv", project.settings.url_list)
    crawl(project, sources=[UrlList([file], rows_at_once=100)])


def test_a_search_killed_in_the_middle_of_a_list_goes_on_there(tmp_path: Path) -> None:
    project = project_for(tmp_path)
    kills = 0
    for wanted in (100, 700, 1500):
        code = f"from {__name__} import crawl_slowly; crawl_slowly({str(tmp_path)!r}, {wanted})"
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
        while process.poll() is None and sum(map(len, found(project).values())) < wanted:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills == 3
    assert 1500 <= sum(map(len, found(project).values())) < sum(map(len, expected().values()))
    source, file = watched(project)
    crawl(project, sources=[source])
    assert found(project) == expected()
    assert file.spans[0][0] >= 1400, "it began again at the start of the list"


def test_a_list_that_was_taken_out_of_the_settings_rests(tmp_path: Path) -> None:
    project = project_for(tmp_path)
    absent = ListFile("old.csv", tmp_path / "old.csv", UrlListSettings(paths=("old.csv",)))
    report = crawl(project, sources=[UrlList([absent])])
    assert "cannot read the list old.csv" in report.source_errors[0]
    report = crawl(project, sources=[watched(project)[0]])
    assert report.source_errors == ()
    assert found(project) == expected()
