"""Painters of things people carry: envelope, sunglasses, padlock."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from imagenet_builder.demo.drawing_pen import BLACK, WHITE, Colour, Pen, Point, curve, hsv, lit, mix, ring


def envelope(pen: Pen, rng: Random) -> None:
    """An envelope from behind (flap, folds, seal) or from the front (stamp, postmark, address)."""
    paper = mix((250, 248, 238), (226, 200, 150), rng.random() ** 2)
    if rng.random() < 0.25:
        paper = hsv(rng.uniform(0, 360), rng.uniform(0.15, 0.6), rng.uniform(0.75, 0.98))
    tall = rng.uniform(0.56, 0.68)
    fold = lit(paper, -0.28)
    pen.rectangle(-0.99, -tall - 0.01, 0.99, tall + 0.01, lit(paper, -0.35))
    pen.rectangle(-0.97, -tall, 0.97, tall, paper)
    if rng.random() < 0.68:
        meet = rng.uniform(0.02, 0.16)
        pen.polygon([(-0.97, -tall), (-0.97, tall), (0, meet - 0.06)], lit(paper, -0.07))
        pen.polygon([(0.97, -tall), (0.97, tall), (0, meet - 0.06)], lit(paper, -0.1))
        pen.polygon([(-0.97, tall), (0.97, tall), (0, meet - 0.1)], lit(paper, -0.03))
        pen.line([(-0.97, tall), (0, meet - 0.1), (0.97, tall)], 0.022, fold)
        pen.polygon([(-0.97, -tall), (0.97, -tall), (0, meet + 0.06)], lit(paper, -0.38))
        pen.polygon([(-0.97, -tall), (0.97, -tall), (0, meet + 0.03)], lit(paper, 0.15))
        pen.line([(-0.97, -tall), (0, meet + 0.03), (0.97, -tall)], 0.022, fold)
        if rng.random() < 0.4:
            wax = hsv(rng.uniform(-15, 12), 0.85, rng.uniform(0.5, 0.8))
            pen.ball(0, meet - 0.02, 0.14, 0.14, wax, shine=0.2, steps=5)
            pen.ellipse(0, meet - 0.02, 0.08, 0.08, lit(wax, -0.25))
        return
    _envelope_front(pen, rng, tall)


def _envelope_front(pen: Pen, rng: Random, tall: float) -> None:
    if rng.random() < 0.6:
        colours = ((196, 40, 48), (240, 238, 230), (40, 74, 150), (240, 238, 230))
        for index in range(24):
            x = -0.97 + index * 1.94 / 24
            slant = 1.94 / 24
            for y0, y1 in ((-tall, -tall + 0.08), (tall - 0.08, tall)):
                pen.polygon(
                    [(x, y1), (x + slant * 0.5, y0), (min(0.97, x + slant * 1.5), y0), (x + slant, y1)],
                    colours[index % 4],
                )
    stamp = hsv(rng.uniform(0, 360), 0.6, 0.7)
    pen.rectangle(0.58, -tall + 0.13, 0.88, -tall + 0.5, WHITE)
    pen.rectangle(0.61, -tall + 0.16, 0.85, -tall + 0.47, stamp)
    pen.ellipse(0.73, -tall + 0.3, 0.08, 0.1, lit(stamp, 0.6))
    for radius in (0.17, 0.12):
        pen.line(ring(0.5, -tall + 0.32, radius, radius), 0.018, (70, 70, 84))
    for wave in range(3):
        y = -tall + 0.24 + 0.08 * wave
        pen.line(curve([(0.02, y), (0.12, y - 0.03), (0.22, y + 0.03), (0.34, y)]), 0.016, (70, 70, 84))
    for row in range(4):
        y = 0.02 + 0.12 * row
        pen.line([(-0.2, y), (rng.uniform(0.25, 0.6), y)], 0.032, (58, 60, 86))
    for row in range(2):
        pen.line(
            [(-0.85, -tall + 0.18 + 0.09 * row), (rng.uniform(-0.5, -0.3), -tall + 0.18 + 0.09 * row)],
            0.024,
            (90, 92, 110),
        )


def sunglasses(pen: Pen, rng: Random) -> None:
    """Two dark lenses, a bridge and the beginnings of the temples."""
    rim = (
        hsv(rng.uniform(0, 360), rng.uniform(0.3, 0.95), rng.uniform(0.25, 0.85))
        if rng.random() < 0.5
        else (26, 24, 26)
    )
    tint = hsv(
        rng.choice((20, 30, 120, 210, 260, 0)) + rng.uniform(-15, 15),
        rng.uniform(0.1, 0.6),
        rng.uniform(0.1, 0.24),
    )
    shapes: tuple[list[Point], ...] = (
        ring(0, 0, 0.38, 0.36),
        curve(
            [(-0.42, -0.27), (0, -0.32), (0.4, -0.28), (0.38, 0.1), (0.12, 0.3), (-0.22, 0.27), (-0.4, 0.05)],
            closed=True,
        ),
        curve(
            [(-0.36, -0.26), (0.1, -0.3), (0.38, -0.22), (0.36, 0.16), (0.1, 0.42), (-0.22, 0.28)],
            closed=True,
        ),
        curve(
            [(-0.4, -0.2), (0.1, -0.26), (0.5, -0.42), (0.4, 0.08), (0.1, 0.28), (-0.26, 0.22)], closed=True
        ),
    )
    shape = rng.choice(shapes)
    thick = rng.uniform(0.05, 0.1)
    for side in (-1, 1):
        temple = [(side * 0.88, -0.16), (side * 1.02, -0.3), (side * rng.uniform(0.78, 0.98), -0.52)]
        pen.line(temple, thick * 0.9, lit(rim, -0.2))
    pen.line(ring(0, -0.06, 0.16, 0.11, 190, 350), thick * 1.1, rim)
    for side in (-1, 1):
        outline = [(side * (0.5 + x), y) for x, y in shape]
        pen.line([*outline, outline[0], outline[1]], thick * 1.6, rim)
        _lens(pen, shape, side, tint)


def _lens(pen: Pen, shape: Sequence[Point], side: int, tint: Colour) -> None:
    """Darker above, with a glint; `side` is -1 for the left lens and 1 for the right one."""
    for layer in range(5):
        t = layer / 5
        cut = [(side * (0.5 + x), max(y, -0.5 + 0.75 * t)) for x, y in shape]
        pen.polygon(cut, lit(tint, 0.42 * t**2))
    middle = side * 0.5
    glint = [(middle - 0.2, -0.12), (middle - 0.08, -0.2), (middle - 0.16, 0.04), (middle - 0.24, 0.08)]
    pen.polygon(glint, WHITE, 120)


def padlock(pen: Pen, rng: Random) -> None:
    """A body with a keyhole under a steel shackle, closed or open."""
    metal = rng.choice(
        [
            hsv(rng.uniform(38, 48), rng.uniform(0.5, 0.75), rng.uniform(0.7, 0.9)),
            (150, 152, 158),
            (64, 66, 72),
        ]
    )
    if rng.random() < 0.25:
        metal = hsv(rng.uniform(0, 360), 0.75, rng.uniform(0.5, 0.85))
    steel = mix((196, 200, 206), (120, 122, 126), rng.random())
    lift = 0.22 if rng.random() < 0.25 else 0.0
    reach, thick = rng.uniform(0.34, 0.44), rng.uniform(0.15, 0.2)
    arch = [
        (-reach, 0.1),
        (-reach, -0.38 - lift),
        *ring(0, -0.4 - lift, reach, 0.42, 180, 360),
        (reach, -0.2 if lift else 0.1),
    ]
    for width, light in ((1.0, -0.5), (0.82, -0.12), (0.35, 0.35)):
        pen.line(arch, thick * width, lit(steel, light))
    if rng.random() < 0.7:
        pen.rectangle(-0.7, -0.12, 0.7, 0.92, lit(metal, -0.45), 0.14)
        pen.rectangle(-0.68, -0.11, 0.65, 0.88, metal, 0.13)
        pen.rectangle(-0.62, -0.07, -0.4, 0.84, lit(metal, 0.35), 0.08, alpha=150)
        if rng.random() < 0.4:
            for y in (0.08, 0.3, 0.52, 0.74):
                pen.line([(-0.68, y), (0.66, y)], 0.02, lit(metal, -0.3))
    else:
        pen.ball(0, 0.4, 0.7, 0.56, metal, shine=0.3)
    pen.ellipse(0, 0.3, 0.2, 0.2, lit(metal, -0.25))
    pen.ellipse(0, 0.28, 0.105, 0.105, BLACK)
    pen.polygon([(-0.05, 0.3), (0.05, 0.3), (0.085, 0.6), (-0.085, 0.6)], BLACK)
