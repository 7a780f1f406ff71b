"""What the marketplace costs: CPU of server and database for a round of work, a new HIT, the pages of the site.

    python benchmarks/marketplace.py [--quick] [--postgres postgresql://…] [--stored 1000000]

A server process on a store with 10,000 open HITs is worked on over HTTP by 200 simulated workers who each accept,
look, and submit; a second process, this one, makes the load, and its own CPU is not counted. Counted are the user
and system time of the server process and, on PostgreSQL, of all processes of its postmaster, from /proc. Then the
store is filled with 10,000 small HITs of other types, most of them done, and list and worker pages are measured;
then with `--stored` more, and they are measured again. Prints a table and, last, one line of JSON. `--postgres`
is the address of an empty database on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

from marketplace_load import Server, load, page_costs, postmaster, settings_for
from marketplace_store import fill_open, fill_stored

from hits.database import open_engine, upgrade
from hits.marketplace import people
from hits.marketplace.tables import MIGRATIONS

STORED_AT_FIRST = 10_000
AIMS = {"round ms sqlite": 8 + 2, "round ms postgresql": 8, "create ms": 4, "memory MiB": 500, "growth": 2}


@dataclass
class Figures:
    """What one engine was measured to cost; times in milliseconds of CPU unless the name says otherwise."""

    engine: str
    measured: dict[str, float] = field(default_factory=dict)


def main() -> None:
    """Measure SQLite and, where it is named, PostgreSQL."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything")
    parser.add_argument("--postgres", help="the address of an empty database on this machine")
    parser.add_argument("--no-sqlite", action="store_true", help="measure PostgreSQL alone")
    parser.add_argument(
        "--stored", type=int, default=1_000_000, help="small HITs in the store for the last part"
    )
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--serve", nargs=2, metavar=("URL", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve[0], int(arguments.serve[1]))
        return
    shrink = 20 if arguments.quick else 1
    found = []
    with tempfile.TemporaryDirectory() as folder:
        sqlite = None if arguments.no_sqlite else f"sqlite:///{folder}/marketplace.sqlite3"
        urls = list(filter(None, [sqlite, arguments.postgres]))
        for url in urls:
            found.append(
                measure(url, 10_000 // shrink, arguments.stored // shrink, arguments.rounds // shrink)
            )
    print_table(found)
    print(json.dumps({figures.engine: figures.measured for figures in found} | {"aims": AIMS}))


def serve(url: str, port: int) -> None:
    """The server process, as `imagenet-builder marketplace serve` runs it."""
    from hits.marketplace.app import create_app
    from imagenet_builder.cli.serving import listen, serve_until_stopped

    serve_until_stopped(create_app(settings_for(url, port)), listen("127.0.0.1", port), verbose=False)


def measure(url: str, open_hits: int, stored: int, rounds: int) -> Figures:
    """Everything on one engine."""
    engine = open_engine(url)
    upgrade(engine, MIGRATIONS)
    keys = people.create_requester(engine, "benchmark", 10**12)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    figures = Figures(engine.dialect.name)
    fill_open(engine, open_hits)
    process = subprocess.Popen([sys.executable, __file__, "--serve", url, str(port)])
    try:
        server = Server(settings_for(url, port), engine, keys, process.pid, postmaster(engine))
        figures.measured |= asyncio.run(load(server, rounds))
        fill_stored(engine, STORED_AT_FIRST)
        small = asyncio.run(page_costs(server))
        begun = time.monotonic()
        fill_stored(engine, stored)
        figures.measured["filling s"] = time.monotonic() - begun
        large = asyncio.run(page_costs(server))
        for name in small:
            figures.measured[f"{name} page ms"] = small[name]
            figures.measured[f"{name} page ms, {stored:,} stored"] = large[name]
            figures.measured[f"{name} growth"] = large[name] / small[name]
        figures.measured["memory MiB"] = server.memory_mib()
    finally:
        process.terminate()
        process.wait(timeout=30)
        engine.dispose()
    return figures


def print_table(found: list[Figures]) -> None:
    names = list(found[0].measured)
    print("| | " + " | ".join(figures.engine for figures in found) + " |")
    print("| --- |" + " --- |" * len(found))
    for name in names:
        print(f"| {name} | " + " | ".join(f"{figures.measured[name]:.2f}" for figures in found) + " |")


if __name__ == "__main__":
    main()
