"""Reading iNaturalist's open-data dump for many species: CPU, wall and memory, on a made-up dump of its format.

    python benchmarks/inaturalist_dump.py [--photos 3000000] [--quick]

A species in twenty is wanted. Observations have one to five photos, two on average; the tables are gzipped as the
published ones are. Reading is one process of its own. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SPECIES = 20_000
WANTED = 1000
PHOTOS_EACH = (1, 1, 2, 2, 4)


def write_dump(folder: Path, photos: int) -> None:
    """The four tables."""
    choose = random.Random(1)
    observations = photos * len(PHOTOS_EACH) // sum(PHOTOS_EACH)
    ids = [str(uuid.UUID(int=choose.getrandbits(128))) for _ in range(observations)]

    def write(table: str, header: str, rows: Iterator[str]) -> None:
        with gzip.open(folder / f"{table}.csv.gz", "wt", compresslevel=1) as file:
            file.write(header.replace(" ", "\t") + "\n")
            file.writelines(rows)

    write(
        "taxa",
        "taxon_id ancestry rank_level rank name active",
        (
            f"{n}\t48460/{10_000_000 + n // 20}\t10.0\tspecies\tGenus species{n}\ttrue\n"
            for n in range(SPECIES)
        ),
    )
    write(
        "observations",
        "observation_uuid observer_id latitude longitude positional_accuracy taxon_id quality_grade observed_on "
        "anomaly_score",
        (
            f"{one}\t{n % 50_000}\t1.5\t2.5\t10\t{choose.randrange(SPECIES)}\tresearch\t2024-05-04\t\n"
            for n, one in enumerate(ids)
        ),
    )
    write(
        "photos",
        "photo_uuid photo_id observation_uuid observer_id extension license width height position",
        (
            f"{one}\t{n * 10 + place}\t{one}\t{n % 50_000}\tjpg\tCC-BY\t2048\t1536\t{place}\n"
            for n, one in enumerate(ids)
            for place in range(PHOTOS_EACH[n % len(PHOTOS_EACH)])
        ),
    )
    write("observers", "observer_id login name", (f"{n}\tlogin{n}\tName {n}\n" for n in range(50_000)))


def read(folder: Path) -> dict[str, Any]:
    """Prepare the index for the wanted species, and measure that."""
    from imagenet_builder.sources.dump_files import Dump
    from imagenet_builder.sources.dump_index import DumpIndex

    index = DumpIndex(Dump(".", folder), folder / "index.sqlite3")
    names = [f"Genus species{n * (SPECIES // WANTED)}" for n in range(WANTED)]
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    index.prepare(names)
    after, wall = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - started
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    kept = sum(len(index.photos(name, ["CC-BY"], 0, (-1, 0, 0), 1_000_000)) for name in names)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return {
        "kept": kept,
        "cpu_s": round(cpu, 2),
        "wall_s": round(wall, 2),
        # The kernel's own count forgets what the parent had, `getrusage` does not.
        "peak_mib": int(status.partition("VmHWM:")[2].split()[0]) // 1024,
        "index_mib": round((folder / "index.sqlite3").stat().st_size / 2**20, 1),
    }


def main() -> None:
    """Run it, print a table and a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=3_000_000)
    parser.add_argument("--quick", action="store_true", help="100,000 photos")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.read:
        print(json.dumps(read(Path(asked.read))))
        return
    photos = 100_000 if asked.quick else asked.photos
    with tempfile.TemporaryDirectory() as folder:
        write_dump(Path(folder), photos)
        command = [sys.executable, __file__, "--read", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout)
    print(
        f"{'photos':>10}{'kept':>9}{'CPU s':>8}{'wall s':>8}{'photos / CPU s':>16}{'MiB':>6}{'index MiB':>11}"
    )
    print(
        f"{photos:10}{figures['kept']:9}{figures['cpu_s']:8}{figures['wall_s']:8}"
        f"{photos / figures['cpu_s']:16,.0f}{figures['peak_mib']:6}{figures['index_mib']:11}"
    )
    print(json.dumps({"benchmark": "inaturalist_dump", "photos": photos, **figures}))


if __name__ == "__main__":
    main()
