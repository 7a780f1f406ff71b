"""Pictures drawn by program for the rehearsal: ILSVRC-2012 synsets in scenes as varied as photographs.

`draw` shows one class, `draw_scene` any number of them or none. The same generator state and size give the
same picture. Nothing here knows of files, licences or the web.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from imagenet_builder.demo.drawing_backdrops import THINGS, Size, any_colour, backdrop, scrap
from imagenet_builder.demo.drawing_classes import CLASSES, DrawnClass
from imagenet_builder.demo.drawing_pen import Pen, Pose, lit


def draw(wnid: str | None, rng: Random, size: Size) -> Image.Image:
    """A picture (RGB) of the class, or of clutter only for None; size is (width, height) in pixels.

    Raises KeyError for a wnid that cannot be drawn.
    """
    return draw_scene([] if wnid is None else [wnid], rng, size)


def draw_scene(wnids: Sequence[str], rng: Random, size: Size) -> Image.Image:
    """A picture (RGB) on which every given class, and no other, is drawn at least once."""
    drawn = [CLASSES[wnid] for wnid in wnids]
    finer = 3 if max(size) <= 220 else 2
    behind = backdrop(size, rng)
    if rng.random() < 0.3:
        behind = behind.filter(ImageFilter.BoxBlur(rng.uniform(0.5, 2)))
    # Enlarged without smoothing: reducing gives back the same pixels.
    canvas = behind.resize((size[0] * finer, size[1] * finer), Image.Resampling.NEAREST)
    _scatter(canvas, rng, rng.choice((0, 0, 1, 2, 4, 7)), 0.04, 0.16)
    if not drawn:
        _strew_things(canvas, rng)
    elif len(drawn) == 1:
        _place_one_class(canvas, rng, drawn[0])
    else:
        _place_side_by_side(canvas, rng, drawn)
    return _photograph(canvas.reduce(finer), rng)


def _pose(rng: Random, x: float, y: float, size: float, turns: float) -> Pose:
    return Pose(
        x=x,
        y=y,
        size=size,
        turn=rng.gauss(0, turns / 2) if turns < 90 else rng.uniform(0, 360),
        stretch=math.exp(rng.gauss(0, 0.1)),
        shear=rng.gauss(0, 0.1),
        tip_x=max(-0.22, min(0.22, rng.gauss(0, 0.08))),
        tip_y=max(-0.22, min(0.22, rng.gauss(0, 0.08))),
    )


def _scatter(canvas: Image.Image, rng: Random, count: int, smallest: float, largest: float) -> None:
    """Scraps and an occasional thing of no class, sizes as shares of the shorter side."""
    shorter = min(canvas.size)
    for _ in range(count):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        pose = _pose(rng, x, y, shorter * rng.uniform(smallest, largest), 180)
        (scrap if rng.random() < 0.75 else rng.choice(THINGS))(Pen(canvas, pose), rng)


def _strew_things(canvas: Image.Image, rng: Random) -> None:
    shorter = min(canvas.size)
    if rng.random() < 0.75:
        for _ in range(rng.choice((1, 1, 2, 3))):
            x, y = canvas.width * rng.uniform(0.2, 0.8), canvas.height * rng.uniform(0.2, 0.8)
            pen = Pen(canvas, _pose(rng, x, y, shorter * rng.uniform(0.35, 0.75), 40))
            rng.choice(THINGS)(pen, rng)
    _scatter(canvas, rng, rng.randint(3, 12), 0.08, 0.4)


def _place_one_class(canvas: Image.Image, rng: Random, drawn: DrawnClass) -> None:
    wide, high = canvas.size
    shorter = min(wide, high)
    if rng.random() < 0.72:
        share = rng.uniform(0.45, 0.95)
        slack = max(0.06, (1 - share) / 2.6)
        x, y = (
            wide / 2 + shorter * rng.uniform(-slack, slack),
            high / 2 + shorter * rng.uniform(-slack, slack),
        )
        _place(canvas, rng, drawn, x, y, shorter * share)
    else:
        count = rng.choice((2, 2, 3, 4))
        cell = wide / count if wide >= high else high / count
        for index in range(count):
            along = (index + 0.5) * cell + rng.uniform(-0.1, 0.1) * cell
            aside = (high if wide >= high else wide) * rng.uniform(0.35, 0.65)
            x, y = (along, aside) if wide >= high else (aside, along)
            _place(canvas, rng, drawn, x, y, min(shorter * 0.8, cell * rng.uniform(0.8, 1.15)))
    if rng.random() < 0.3:
        _cover_a_part(canvas, rng)


def _place_side_by_side(canvas: Image.Image, rng: Random, drawn: Sequence[DrawnClass]) -> None:
    wide, high = canvas.size
    order = list(drawn)
    rng.shuffle(order)
    cell = max(wide, high) / len(order)
    for index, one in enumerate(order):
        along = (index + 0.5) * cell + rng.uniform(-0.06, 0.06) * cell
        aside = min(wide, high) * rng.uniform(0.42, 0.58)
        x, y = (along, aside) if wide >= high else (aside, along)
        _place(canvas, rng, one, x, y, min(min(wide, high) * 0.85, cell * rng.uniform(0.75, 0.98)))


def _place(canvas: Image.Image, rng: Random, drawn: DrawnClass, x: float, y: float, size: float) -> None:
    pose = _pose(rng, x, y, size * drawn.growth, drawn.turns)
    pen = Pen(canvas, pose)
    if rng.random() < 0.5:
        flat = Pose(x=x, y=y + size * 0.46, size=size)
        shadow = Pen(canvas, flat)
        for step in range(4):
            shadow.ellipse(0.05, 0, 0.8 - 0.12 * step, 0.16 - 0.025 * step, (0, 0, 0), 26)
    drawn.painter(pen, rng)


def _cover_a_part(canvas: Image.Image, rng: Random) -> None:
    """Something in front, reaching in from an edge: a scrap, a thing or a post."""
    wide, high = canvas.size
    if rng.random() < 0.35:
        x, broad = rng.uniform(0.1, 0.9) * wide, rng.uniform(0.03, 0.09) * wide
        bar = Pen(
            canvas, Pose(x=x, y=high / 2, size=high * 1.2, turn=rng.uniform(-12, 12) + rng.choice((0, 90)))
        )
        colour = any_colour(rng)
        half = broad / high
        bar.rectangle(-half, -2, half, 2, colour)
        bar.rectangle(-half, -2, -half / 2, 2, lit(colour, 0.2))
        return
    x = rng.choice((rng.uniform(0, 0.2), rng.uniform(0.8, 1.0))) * wide
    pose = _pose(rng, x, rng.uniform(0.5, 1.0) * high, min(wide, high) * rng.uniform(0.2, 0.42), 180)
    (scrap if rng.random() < 0.5 else rng.choice(THINGS))(Pen(canvas, pose), rng)


def _photograph(scene: Image.Image, rng: Random) -> Image.Image:
    """The scene as a camera would have it: uneven light, tint, contrast, lens blur and sensor noise."""
    blur = rng.choice((0.0, 0.0, 0.0, 0.6, 1.0, 1.6))
    if blur:
        scene = scene.filter(ImageFilter.BoxBlur(blur))
    wide, high = scene.size
    grid_y = np.linspace(-1, 1, high, dtype=np.float32)[:, None]
    grid_x = np.linspace(-1, 1, wide, dtype=np.float32)[None, :]
    angle, fall = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.38)
    light = 1 + fall * (math.cos(angle) * grid_x + math.sin(angle) * grid_y)
    light -= rng.uniform(0, 0.2) * (grid_x**2 + grid_y**2)
    light *= rng.uniform(0.78, 1.3)
    noise = np.random.default_rng(rng.getrandbits(32))
    grain = noise.standard_normal((high, wide), dtype=np.float32)
    grain *= rng.choice((1.5, 3.0, 6.0, 11.0))
    contrast = rng.uniform(0.75, 1.15)
    pixels = np.asarray(scene).astype(np.float32)
    pixels -= 118
    pixels *= contrast
    pixels += 122
    pixels *= np.array([1 + rng.gauss(0, 0.06), 1.0, 1 + rng.gauss(0, 0.08)], dtype=np.float32)
    pixels *= light[:, :, None]
    pixels += grain[:, :, None]
    np.clip(pixels, 0, 255, out=pixels)
    return Image.fromarray(pixels.astype(np.uint8))
