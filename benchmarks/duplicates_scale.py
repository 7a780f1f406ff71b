"""What near-duplicates cost: a million hashes, pictures with descriptors and windows, and excluded pictures."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from itertools import islice
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from imagenet_builder.descriptor_file import DescriptorFile
from imagenet_builder.descriptors import BYTES, describe, hashes_of, stack
from imagenet_builder.duplicates import NEAR, clustering, clusters
from imagenet_builder.exclusion import Exclusion
from imagenet_builder.hamming import pairs_within

Hashes = npt.NDArray[np.uint64]
# Descriptors that are made in one go, and how fast amplitudes fall in natural pictures.
MADE_AT_ONCE = 1_024
NATURAL = 1.1


def scale(most: int, largest: int) -> list[dict[str, Any]]:
    """The cost curves: clusters and windows to `most` hashes, the search alone to `largest`; and excluding."""
    lines = [
        measured(all_pairs, kind, size) for size in (most // 10, most) for kind in ("uniform", "clustered")
    ]
    sizes = [size for size in (100_000, 1_000_000, 10_000_000) if size <= largest]
    lines += [measured(search, size) for size in sizes]
    lines += [measured(described, "noise", size, size // 100) for size in (most // 100, most // 10, most)]
    # Natural pictures of which the hashes are near grow with the square of their number.
    lines += [
        measured(described, "natural", size, size // 100)
        for size in (most // 100, most // 10, most * 3 // 10)
    ]
    lines += [measured(excluding, kind, most // 20) for kind in ("smooth", "natural")]
    return lines


def made_hashes(kind: str, count: int) -> Hashes:
    """Uniform hashes; or clustered ones: a tenth are a few bits away from another, and some hashes are common."""
    source = np.random.default_rng(7)
    values = source.integers(0, 2**64, count, dtype=np.uint64)
    if kind == "clustered":
        copies = source.choice(count, count // 10, replace=False)
        origin = source.zipf(1.6, len(copies)) % (count // 100 + 1)
        flips = np.uint64(1) << source.integers(0, 64, (3, len(copies)), dtype=np.uint64)
        values[copies] = values[origin] ^ flips[0] ^ flips[1] ^ flips[2]
    return values


def measured(run: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What `run` gives, in a process of its own: its peak of memory is nobody else's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, *arguments).result()


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def search(count: int) -> dict[str, Any]:
    """CPU seconds for all pairs within NEAR bits of uniform hashes, without names and clusters."""
    values = np.unique(made_hashes("uniform", count))
    before = cpu_seconds()
    found = sum(len(left) for left, _ in pairs_within(values, NEAR))
    return {
        "hashes": "search",
        "count": count,
        "cpu_s": round(cpu_seconds() - before, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "pairs": found,
    }


def all_pairs(kind: str, count: int, sample: int = 200) -> dict[str, Any]:
    """CPU seconds for the clusters of `count` hashes, and how many of a sample's pairs were missed."""
    values = made_hashes(kind, count)
    named = {f"{number:016x}": value for number, value in enumerate(values.tolist())}
    before, started = cpu_seconds(), time.monotonic()
    found = clusters(named)
    used, wall = cpu_seconds() - before, time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    keys = list(named)
    missed = pairs = 0
    for place in np.random.default_rng(1).choice(count, sample, replace=False).tolist():
        if not 8 <= int(values[place]).bit_count() <= 56:
            continue
        for other in np.flatnonzero(np.bitwise_count(values ^ values[place]) <= NEAR).tolist():
            pairs += other != place
            missed += found[keys[other]] != found[keys[place]] and 8 <= int(values[other]).bit_count() <= 56
    return {
        "hashes": kind,
        "count": count,
        "cpu_s": round(used, 2),
        "wall_s": round(wall, 2),
        "peak_mib": round(peak / 1024),
        "clusters": len(set(found.values())),
        "sampled_pairs": pairs,
        "missed": missed,
    }


def described(kind: str, count: int, added: int) -> dict[str, Any]:
    """CPU seconds for the clusters of pictures with descriptors, as `export` has them, and again after `added` more."""
    made = noise if kind == "noise" else natural
    hashes: dict[str, int] = {}
    descriptors = DescriptorFile()
    for start in range(0, count + added, MADE_AT_ONCE):
        rows = made(min(MADE_AT_ONCE, count + added - start), start)
        for number, (row, value) in enumerate(zip(rows, hashes_of(rows).tolist(), strict=True), start):
            name = sha256(number.to_bytes(8)).hexdigest()
            hashes[name] = value
            descriptors.add(name, row.tobytes())
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = cpu_seconds()
    before = clustering(dict(islice(hashes.items(), count)), descriptors)
    scratch, began = cpu_seconds() - began, cpu_seconds()
    clustering(hashes, descriptors, before)
    return {
        "hashes": f"with windows, {kind}",
        "count": count,
        "cpu_s": round(scratch, 2),
        "added": added,
        "added_cpu_s": round(cpu_seconds() - began, 2),
        "held_mib": round(held / 1024),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "clusters": len(np.unique(before.groups)),
    }


def noise(count: int, seed: int) -> npt.NDArray[np.int8]:
    """Descriptors of pictures of noise: only chance makes two alike."""
    return np.random.default_rng(seed).integers(-127, 128, (count, BYTES), dtype=np.int8)


def natural(count: int, seed: int) -> npt.NDArray[np.int8]:
    """Descriptors with structure at every scale, as photographs have it: amplitudes fall with the frequency."""
    source = np.random.default_rng(seed)
    side = 2 * round(BYTES**0.5)
    frequency = np.hypot(np.fft.rfftfreq(side)[None, :], np.fft.fftfreq(side)[:, None])
    spectrum = source.normal(size=(count, side, side // 2 + 1)) + 1j * source.normal(
        size=(count, side, side // 2 + 1)
    )
    # Half of the period, so that opposite sides are not alike.
    fields = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / side) ** NATURAL, s=(side, side))
    return stack([describe(one[: side // 2, : side // 2]) for one in fields * 40 / fields.std()])


def excluding(kind: str, count: int, asked: int = 300) -> dict[str, Any]:
    """CPU for comparing pictures with `count` excluded ones (both of a kind), every third of them a copy of one.

    One at a time, and in batches, as those are that a crawl inspects within a fiftieth of a second.
    """
    made = smooth if kind == "smooth" else natural
    sizes = [MADE_AT_ONCE] * ((count + asked) // MADE_AT_ONCE) + [(count + asked) % MADE_AT_ONCE]
    rows = np.concatenate([made(size, seed) for seed, size in enumerate(sizes) if size])
    exclusion = Exclusion([str(number) for number in range(count)], rows[:count])
    rows[count::3] = rows[: len(rows[count::3])]
    images = [Shown(row.tobytes()) for row in rows[count:]]
    times = {}
    for together in (1, 5, 20):
        start = cpu_seconds()
        found = [
            like
            for first in range(0, asked, together)
            for like in exclusion.matches(images[first : first + together])
        ]
        times[f"ms_each_by_{together}"] = round((cpu_seconds() - start) / asked * 1000, 2)
    return {
        "hashes": f"excluding, {kind}",
        "count": count,
        **times,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "matched": sum(like is not None for like in found),
    }


class Shown(NamedTuple):
    """A picture as `Exclusion.match` takes it."""

    descriptor: bytes


def smooth(count: int, seed: int) -> npt.NDArray[np.int8]:
    """Descriptors as smooth pictures have them: neighbouring bits of their hashes depend on each other."""
    coarse = np.random.default_rng(seed).normal(128, 40, (count, 7, 7)).astype(np.float32)
    sides = (int(BYTES**0.5),) * 2
    grown = (np.asarray(Image.fromarray(one).resize(sides, Image.Resampling.BICUBIC)) for one in coarse)
    return stack([describe(one) for one in grown]).copy()
