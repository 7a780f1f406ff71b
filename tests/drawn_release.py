"""A tiny release in ILSVRC's layout, drawn by program: classes that a model tells apart within a few epochs."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw

from imagenet_builder.export.torch_archive import torch_archive

# In the order of their wnids: name, colour, and what is drawn.
CLASSES = (
    ("n00000011", ("disc", "red disc"), (220, 40, 40), "ellipse"),
    ("n00000022", ("square",), (40, 200, 60), "rectangle"),
    ("n00000033", ("bar", "stripe"), (40, 70, 220), "bar"),
    ("n00000044", ("frame",), (230, 210, 40), "frame"),
    ("n00000055", ("<b>cross</b>",), (200, 60, 210), "cross"),
    ("n00000066", ("post",), (60, 210, 220), "post"),
)


def draw(colour: tuple[int, int, int], shape: str, rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """A shape of about that colour on a grey ground, somewhere near the middle."""
    ground = rng.randrange(60, 190)
    picture = Image.new("RGB", size, (ground, ground, ground))
    pen = ImageDraw.Draw(picture)
    x, y = (side * rng.uniform(0.4, 0.6) for side in size)
    r = min(size) * rng.uniform(0.25, 0.38)
    fill = tuple(max(0, min(255, part + rng.randrange(-25, 26))) for part in colour)
    box = (x - r, y - r, x + r, y + r)
    if shape == "ellipse":
        pen.ellipse(box, fill=fill)
    elif shape == "rectangle":
        pen.rectangle(box, fill=fill)
    elif shape == "frame":
        pen.rectangle(box, outline=fill, width=int(r / 2))
    if shape in ("bar", "cross"):
        pen.rectangle((x - r, y - r / 4, x + r, y + r / 4), fill=fill)
    if shape in ("post", "cross"):
        pen.rectangle((x - r / 4, y - r, x + r / 4, y + r), fill=fill)
    return picture


def build_release(root: Path, *, classes: int = 4, train: int = 16, val: int = 4, seed: int = 0) -> Path:
    """Write a release with so many classes and pictures of each, without manifest; returns `root`."""
    rng = random.Random(seed)
    val_wnids: list[str] = []
    for wnid, _, colour, shape in CLASSES[:classes]:
        for split, count in (("train", train), ("val", val)):
            folder = root / split / wnid
            folder.mkdir(parents=True)
            for number in range(1, count + 1):
                if split == "val":
                    val_wnids.append(wnid)
                name = f"{wnid}_{number}" if split == "train" else f"ILSVRC2012_val_{len(val_wnids):08d}"
                size = rng.choice([(64, 64), (80, 64), (64, 96)])
                draw(colour, shape, rng, size).save(folder / f"{name}.JPEG", quality=90)
    words = {wnid: names for wnid, names, _, _ in CLASSES[:classes]}
    (root / "meta.bin").write_bytes(torch_archive((words, val_wnids)))
    return root
