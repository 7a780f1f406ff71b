"""A list of picture addresses, read once for many categories: CPU, wall and memory by format and categories.

    python benchmarks/url_list.py [--rows 10000000] [--wordnet DIR] [--quick]

Captions are glosses of WordNet's nouns, a row each at random; the categories are ImageNet's thousand of 2012, with all
their words. `read` matches every row and keeps nothing; `search` is the crawl's own search into a SQLite store, 500
candidates a category, and ends when every category has them or at the end of the list. Each case is a process of
its own. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wordnet_synsets import Graph, list_wnids, open_graph

PER_CATEGORY = 500


def write_lists(folder: Path, graph: Graph, rows: int) -> None:
    """`list.csv` and `list.parquet`, with the same rows."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    glosses = [graph[wnid].gloss.partition(";")[0].replace('"', "'") for wnid in graph]
    choose = random.Random(1)
    schema = pa.schema({"url": pa.string(), "caption": pa.string(), "license": pa.string()})
    with (
        (folder / "list.csv").open("w") as text,
        parquet.ParquetWriter(folder / "list.parquet", schema) as table,
    ):
        text.write("url,caption,license\n")
        for start in range(0, rows, 200_000):
            count = min(200_000, rows - start)
            captions = choose.choices(glosses, k=count)
            urls = [f"https://pictures.example/{start + number:010d}.jpg" for number in range(count)]
            text.writelines(f'{url},"{words}",by\n' for url, words in zip(urls, captions, strict=True))
            table.write_table(pa.table([urls, captions, ["by"] * count], schema))


def read(folder: Path, name: str, categories: list[tuple[str, str]]) -> int:
    """Match every row; how many matches there were."""
    from imagenet_builder.config import UrlListSettings
    from imagenet_builder.sources.list_files import ListFile, Position, Wanted

    file = ListFile(name, folder / name, UrlListSettings(paths=(name,)))
    return sum(len(numbers) for _, _, numbers in file.scan(Position(), Wanted(categories)))


def search(folder: Path, name: str, graph: Graph, wnids: list[str]) -> int:
    """The crawl's search; how many candidates there are then."""
    from hits import database
    from imagenet_builder.config import UrlListSettings
    from imagenet_builder.crawl.report import Tally
    from imagenet_builder.crawl.search import Search
    from imagenet_builder.records import Category
    from imagenet_builder.sources.list_files import ListFile
    from imagenet_builder.sources.url_list import UrlList
    from imagenet_builder.store import categories as categories_sql
    from imagenet_builder.store.crawl import Scope
    from imagenet_builder.store.engine import MIGRATIONS, open_store
    from imagenet_builder.store.queries import DropRule
    from imagenet_builder.store.thread import StoreThread

    url = f"sqlite:///{folder}/store.sqlite3"
    database.upgrade(database.open_engine(url), MIGRATIONS)
    engine, now, tally = open_store(url), datetime.now(UTC), Tally()
    chosen = [
        Category(wnid, f"{graph[wnid].words[0]}", wnid, graph[wnid].words, graph[wnid].gloss, position)
        for position, wnid in enumerate(wnids)
    ]
    with database.writing(engine) as connection:
        categories_sql.select(connection, chosen, now)
    source = UrlList([ListFile(name, folder / name, UrlListSettings(paths=(name,)))])

    async def run() -> None:
        with StoreThread(engine) as store:
            scope = Scope(tuple(wnids), ("url_list",), ("by",))
            session: Any = None
            finding = Search(
                *(store, session, [source], scope, PER_CATEGORY, DropRule(100, 0.95)),
                *(lambda: graph, tally, lambda: now, lambda _: None),
            )
            await finding.run(chosen)

    asyncio.run(run())
    return tally.new_candidates


def case(folder: Path, what: str, name: str, count: int, wordnet: Path | None) -> dict[str, Any]:
    """One case, measured in this process; reading WordNet is not counted."""
    graph = open_graph(wordnet)
    wnids = list(list_wnids("ilsvrc2012"))[:count]
    categories = [(wnid, "|".join(graph[wnid].words)) for wnid in wnids]
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    found = read(folder, name, categories) if what == "read" else search(folder, name, graph, wnids)
    after, wall = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - started
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"what": what, "list": name, "categories": count, "found": found, "cpu_s": round(cpu, 2),
            "wall_s": round(wall, 2), "peak_mib": peak_mib()}  # fmt: skip


def peak_mib() -> int:
    """Of this process since it began: the kernel's own count forgets what the parent had, `getrusage` does not."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main() -> None:
    """Run it all, print a table and a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--wordnet", type=Path)
    parser.add_argument("--quick", action="store_true", help="100,000 rows")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        folder, what, name, count = asked.case
        print(json.dumps(case(Path(folder), what, name, int(count), asked.wordnet)))
        return
    rows = 100_000 if asked.quick else asked.rows
    cases = [
        *(("read", name, count) for name in ("list.csv", "list.parquet") for count in (1, 1000)),
        ("search", "list.csv", 1000),
    ]
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        write_lists(Path(folder), open_graph(asked.wordnet), rows)
        for what, name, count in cases:
            wordnet = ["--wordnet", str(asked.wordnet)] if asked.wordnet else []
            command = [sys.executable, __file__, "--case", folder, what, name, str(count), *wordnet]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            lines.append(json.loads(done.stdout))
        size = (Path(folder) / "list.csv").stat().st_size
    print(f"{rows:,} rows, {size / 2**20:,.0f} MiB as CSV")
    print(
        f"{'':8}{'list':14}{'categories':>11}{'found':>10}{'CPU s':>8}{'wall s':>8}{'rows / CPU s':>14}{'MiB':>6}"
    )
    for line in lines:
        print(
            f"{line['what']:8}{line['list']:14}{line['categories']:11}{line['found']:10}{line['cpu_s']:8}"
            f"{line['wall_s']:8}{rows / line['cpu_s']:14,.0f}{line['peak_mib']:6}"
        )
    print(json.dumps({"benchmark": "url_list", "rows": rows, "bytes": size, "cases": lines}))


if __name__ == "__main__":
    main()
