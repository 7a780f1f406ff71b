"""CPU a picture of the crawler beside img2dataset's, alternating in one run over the same pictures on loopback.

    python benchmarks/crawl.py --img2dataset OTHER-VENV/bin/img2dataset [--pictures 4000] [--rounds 3] [--quick]

nginx serves deterministic pictures: 60 % 500 × 375, 25 % 1024 × 768, 10 % 2048 × 1536, 3 % PNG, 2 % broken. CPU is that
of the whole process tree, start-up included; memory is the tree's largest sum of proportional set sizes. The last line
is JSON.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import ctypes
import json
import os
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

WNID = "n04507155"
SIZES = ((60, 500, 375), (25, 1024, 768), (10, 2048, 1536))
BROKEN = ("missing", "html", "garbage", "truncated", "empty")
PR_SET_CHILD_SUBREAPER = 36
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; types {{ image/jpeg jpg; image/png png; }}
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/pictures; }} }}
"""
OURS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from hits import database
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.project import find_project
from imagenet_builder.store import tables
project = find_project(Path(sys.argv[1]))
with database.writing(project.engine) as connection:
    connection.execute(tables.categories.insert(), {
        "wnid": "n04507155", "sense_key": "umbrella%1:06:00::", "name": "umbrella.n.01", "lemmas": ["umbrella"],
        "gloss": "a canopy", "position": 0, "selected_at": datetime.now(UTC)})
crawl(project)
"""


@dataclass(frozen=True)
class Run:
    """One run: CPU and wall seconds, peak memory in MiB, pictures kept, and broken ones among these."""

    tool: str
    cpu: float
    wall: float
    peak_mib: float
    kept: int
    broken_kept: int


def picture(number: int, noise: np.ndarray) -> tuple[str, bytes | None]:
    """Name and bytes of picture `number` (None: not on the server); each is distinct and always the same."""
    source = np.random.default_rng(number)
    place = number % 100
    if place >= 98:
        return f"{number}-{BROKEN[(number // 50) % len(BROKEN)]}.jpg", broken(number, noise)
    shares = iter(SIZES)
    share, width, height = next(shares)
    while place >= share and place < 95:
        place -= share
        share, width, height = next(shares)
    is_png = place >= 95
    if is_png:
        width, height = 500, 375
    coarse = Image.fromarray(source.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    top, left = source.integers(0, 400, 2)
    grain = noise[top : top + height, left : left + width, None]
    pixels = (smooth + grain).clip(0, 255).astype(np.uint8)
    if is_png:
        with tempfile.SpooledTemporaryFile() as file:
            Image.fromarray(pixels).save(file, "PNG", compress_level=1)
            file.seek(0)
            return f"{number}.png", file.read()
    quality = 88 if width < 2000 else 78
    return f"{number}.jpg", simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality)


def broken(number: int, noise: np.ndarray) -> bytes | None:
    """What stands in the place of a picture that is none."""
    kind = BROKEN[(number // 50) % len(BROKEN)]
    if kind == "missing":
        return None
    if kind == "html":
        return b"<!DOCTYPE html><html><body>" + str(number).encode() * 500 + b"</body></html>"
    if kind == "garbage":
        return np.random.default_rng(number).bytes(60_000)
    if kind == "empty":
        return b""
    grey = np.repeat((noise[:375, :500, None] + 128 + number % 50).clip(0, 255).astype(np.uint8), 3, axis=2)
    whole: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(grey), quality=90)
    return whole[: len(whole) * 2 // 3]


@contextlib.contextmanager
def picture_host(folder: Path, count: int) -> Iterator[tuple[list[str], int]]:
    """nginx with `count` pictures; yields their addresses and the bytes that they have together."""
    (folder / "pictures").mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 9, (2000, 2500)).astype(np.int16)
    names, total = [], 0
    for number in range(count):
        name, content = picture(number, noise)
        names.append(name)
        if content is not None:
            (folder / "pictures" / name).write_bytes(content)
            total += len(content)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, user=user))
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or sys.exit(
        "nginx is not installed"
    )
    server = subprocess.Popen([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        deadline = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if time.monotonic() > deadline:
                sys.exit("nginx does not answer")
            time.sleep(0.1)
        yield [f"http://127.0.0.1:{port}/{name}" for name in names], total
    finally:
        server.terminate()
        server.wait()


def tree_memory(root: int) -> float:
    """MiB that a process and all below it take, shared pages counted once."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        waiting += parents.get(process, [])
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def measured(command: list[str], log: Path) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak MiB of a command's whole process tree."""
    before, started, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0.0
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, tree_memory(process.pid))
            time.sleep(0.25)
    if process.returncode:
        sys.exit(f"{command[0]} failed:\n{log.read_text(errors='replace')[-2000:]}")
    # Its orphans were given to this process, which is their reaper: their CPU counts once they are waited for.
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            ended = os.waitpid(-1, os.WNOHANG)[0]
        except ChildProcessError:
            break
        if not ended:
            time.sleep(0.1)
            if not orphans():
                break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu, time.monotonic() - started, peak


def orphans() -> bool:
    """Whether this process has other children than nginx."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return any(Path(f"/proc/{child}/comm").read_text().strip() != "nginx" for child in children)


def run_ours(folder: Path, addresses: list[str]) -> Run:
    """The crawler on a list of addresses, into a project of its own."""
    from imagenet_builder.initialise import initialise

    host = addresses[0].split("/")[2]
    initialise(
        folder,
        "[crawl]\nsources = ['url_list']\nlicences = ['unknown']\n"
        f"per_category = {len(addresses)}\nper_host = 32\nconnections = 32\nallow_addresses = ['{host}']\n"
        "[url_list]\npaths = ['list.txt']\n",
    )
    (folder / "list.txt").write_text("".join(f"{WNID}\t{address}\n" for address in addresses))
    cpu, wall, peak = measured([sys.executable, "-c", OURS, str(folder)], folder / "log")
    with sqlite3.connect(folder / "store.sqlite3") as store:
        rows = store.execute("SELECT url, state FROM candidates").fetchall()
    if any(state == "pending" for _, state in rows) or len(rows) != len(addresses):
        sys.exit(f"the crawl left candidates: see {folder / 'log'}")
    kept = [url for url, state in rows if state == "stored"]
    return Run("imagenet-builder", cpu, wall, peak, len(kept), count_broken(kept))


def run_img2dataset(folder: Path, addresses: list[str], program: str, mode: str) -> Run:
    """img2dataset on the same list: `decodes` re-encodes as it does by default, `as is` verifies nothing."""
    folder.mkdir()
    (folder / "list.txt").write_text("".join(f"{address}\n" for address in addresses))
    command = [
        program, "--url_list", str(folder / "list.txt"), "--output_folder", str(folder / "out"),
        "--output_format", "files", "--input_format", "txt", "--thread_count", "32", "--resize_mode", "no",
        "--processes_count", str(len(os.sched_getaffinity(0))), "--number_sample_per_shard", "1000",
        "--enable_wandb", "False", "--retries", "0",
    ]  # fmt: skip
    cpu, wall, peak = measured([*command, "--disable_all_reencoding", str(mode == "as is")], folder / "log")
    kept = [
        json.loads(path.read_text())["url"]
        for path in (folder / "out").rglob("*.json")
        if not path.name.endswith("_stats.json") and json.loads(path.read_text()).get("status") == "success"
    ]
    return Run(f"img2dataset, {mode}", cpu, wall, peak, len(kept), count_broken(kept))


def count_broken(urls: list[str]) -> int:
    """How many of `urls` are of pictures that are none."""
    return sum(any(f"-{kind}." in url for kind in BROKEN) for url in urls)


def medians(runs: list[Run], count: int) -> list[dict[str, float | str]]:
    """One line a tool, with the medians of its runs."""
    lines: list[dict[str, float | str]] = []
    for tool in dict.fromkeys(run.tool for run in runs):
        mine = [run for run in runs if run.tool == tool]
        lines.append(
            {
                "tool": tool,
                "cpu_ms": round(1000 * statistics.median(run.cpu for run in mine) / count, 3),
                "wall_s": round(statistics.median(run.wall for run in mine), 2),
                "peak_mib": round(statistics.median(run.peak_mib for run in mine)),
                "kept": mine[-1].kept,
                "broken_kept": mine[-1].broken_kept,
            }
        )
    return lines


def main() -> None:
    """Run it all, print a table and a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--img2dataset", default=shutil.which("img2dataset"), help="its program, if it is installed"
    )
    parser.add_argument("--quick", action="store_true", help="400 pictures, one round")
    asked = parser.parse_args()
    count, rounds = (400, 1) if asked.quick else (asked.pictures, asked.rounds)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for package in ("hits", "imagenet_builder", "wordnet_synsets"):
        # As pip does for what it installs: an editable installation may not be allowed to keep bytecode.
        compileall.compile_dir(Path(__file__).parents[1] / package, quiet=1)
    runs: list[Run] = []
    with (
        tempfile.TemporaryDirectory() as made,
        picture_host(Path(made) / "host", count) as (addresses, total),
    ):
        for turn in range(rounds):
            runs.append(run_ours(Path(made) / f"ours-{turn}", addresses))
            if asked.img2dataset:
                for mode in ("decodes", "as is"):
                    place = Path(made) / f"{mode.replace(' ', '-')}-{turn}"
                    runs.append(run_img2dataset(place, addresses, asked.img2dataset, mode))
    lines = medians(runs, count)
    broken_count = sum(number % 100 >= 98 for number in range(count))
    print(
        f"{count} pictures, {total / count / 1000:.0f} kB each, {broken_count} of them broken, {rounds} rounds"
    )
    print(f"{'':24}{'CPU ms/picture':>16}{'wall s':>9}{'peak MiB':>10}{'kept':>7}{'broken kept':>13}")
    for line in lines:
        print(
            f"{line['tool']:24}{line['cpu_ms']:16}{line['wall_s']:9}{line['peak_mib']:10}"
            f"{line['kept']:7}{line['broken_kept']:13}"
        )
    print(
        json.dumps(
            {"benchmark": "crawl", "pictures": count, "broken": broken_count, "rounds": rounds,
             "medians": lines, "runs": [asdict(run) for run in runs]}
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
