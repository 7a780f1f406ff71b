"""Painters of household things: wall clock, digital clock, candle, hourglass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from imagenet_builder.demo.drawing_pen import BLACK, WHITE, Colour, Pen, Point, curve, hsv, lit, mix

# Segments lit for each digit: top, upper right, lower right, bottom, lower left, upper left, middle.
SEVEN_SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")


def wall_clock(pen: Pen, rng: Random) -> None:
    """A round or square clock face with marks or figures and two or three hands."""
    rim = hsv(rng.uniform(0, 360), rng.uniform(0, 0.9), rng.uniform(0.15, 0.85))
    if rng.random() < 0.4:
        rim = rng.choice([(30, 30, 32), (120, 76, 40), (176, 178, 182), (188, 150, 60)])
    pale = rng.random() < 0.85
    face = mix(WHITE, hsv(rng.uniform(30, 60), 0.25, 0.95), rng.random()) if pale else lit(rim, -0.5)
    ink = BLACK if pale else WHITE
    square = rng.random() < 0.15
    if square:
        pen.rectangle(-0.95, -0.95, 0.95, 0.95, lit(rim, -0.2), 0.14)
        pen.rectangle(-0.91, -0.93, 0.89, 0.89, rim, 0.12)
        pen.rectangle(-0.8, -0.8, 0.8, 0.8, face, 0.08)
    else:
        pen.ball(0, 0, 0.97, 0.97, rim, shine=0.2, steps=3)
        pen.ellipse(0, 0, 0.84, 0.84, lit(rim, -0.45))
        pen.ellipse(0.0, 0.015, 0.815, 0.815, face)
    _dial(pen, rng, ink, square)
    hour, minute = rng.uniform(0, 12), rng.uniform(0, 60)
    for turn, length, width in ((hour / 12, 0.42, 0.075), (minute / 60, 0.64, 0.05)):
        x, y = math.sin(2 * math.pi * turn), -math.cos(2 * math.pi * turn)
        pen.line([(-0.12 * x, -0.12 * y), (length * x, length * y)], width, ink)
    if rng.random() < 0.5:
        turn = rng.uniform(0, 2 * math.pi)
        pen.line(
            [
                (-0.15 * math.sin(turn), 0.15 * math.cos(turn)),
                (0.68 * math.sin(turn), -0.68 * math.cos(turn)),
            ],
            0.02,
            (200, 36, 32),
        )
    pen.ellipse(0, 0, 0.06, 0.06, lit(ink, 0.2) if pale else ink)


def _dial(pen: Pen, rng: Random, ink: Colour, square: bool) -> None:
    figures = rng.choice(("all", "all", "quarters", "none"))
    for mark in range(60):
        turn = mark / 60 * 2 * math.pi
        x, y = math.sin(turn), -math.cos(turn)
        edge = 0.76 / max(abs(x), abs(y)) if square else 0.76
        if mark % 5:
            if figures == "all":
                pen.line([(x * edge, y * edge), (x * (edge - 0.04), y * (edge - 0.04))], 0.012, ink)
            continue
        hour = mark // 5 or 12
        shown = figures == "all" or (figures == "quarters" and hour % 3 == 0)
        inner = edge - (0.06 if shown else 0.16)
        pen.line([(x * edge, y * edge), (x * inner, y * inner)], 0.035 if shown else 0.05, ink)
        if shown:
            reach = edge - 0.16
            pen.text(str(hour), x * reach, y * reach, 0.15, ink)


def digital_clock(pen: Pen, rng: Random) -> None:
    """A box with a dark display, four seven-segment figures and a colon."""
    case = hsv(rng.uniform(0, 360), rng.uniform(0, 0.75), rng.uniform(0.12, 0.92))
    if rng.random() < 0.45:
        case = rng.choice([(30, 30, 34), (218, 218, 214), (112, 78, 48), (60, 62, 66)])
    tall = rng.uniform(0.4, 0.52)
    for x in (-0.7, 0.7):
        pen.rectangle(x - 0.1, tall - 0.05, x + 0.1, tall + 0.09, lit(case, -0.5), 0.03)
    if rng.random() < 0.7:
        pen.polygon(
            [(-0.94, -tall), (-0.84, -tall - 0.14), (0.84, -tall - 0.14), (0.94, -tall)], lit(case, 0.25)
        )
        for x in (-0.5, -0.3, 0.4):
            pen.rectangle(x, -tall - 0.11, x + 0.14, -tall - 0.05, lit(case, -0.4), 0.02)
    pen.rectangle(-0.98, -tall, 0.98, tall, lit(case, -0.2), 0.08)
    pen.rectangle(-0.96, -tall, 0.94, tall - 0.05, case, 0.08)
    light_panel = rng.random() < 0.15
    pen.rectangle(
        -0.85, -tall + 0.1, 0.85, tall - 0.13, (178, 190, 164) if light_panel else (14, 12, 16), 0.03
    )
    glow = (
        (30, 36, 30)
        if light_panel
        else hsv(rng.choice((0, 4, 40, 120, 150, 190, 210)) + rng.uniform(-6, 6), 0.85, 1.0)
    )
    hour, minute = rng.randint(0, 23), rng.randint(0, 59)
    high = tall - 0.2
    middle = -0.015
    lean = rng.choice((0.0, 0.08))
    for digit, x in zip(f"{hour:02d}{minute:02d}", (-0.58, -0.24, 0.24, 0.58), strict=True):
        _digit(pen, int(digit), x, middle, 0.115, high, glow, lean)
    for y in (-0.1, 0.1):
        pen.rectangle(-0.03, middle + y - 0.03, 0.03, middle + y + 0.03, glow)


def _digit(
    pen: Pen, digit: int, cx: float, cy: float, half: float, high: float, colour: Colour, lean: float
) -> None:
    gap = 0.025
    ends: dict[str, tuple[Point, Point]] = {
        "a": ((-half + gap, -high), (half - gap, -high)),
        "b": ((half, -high + gap), (half, -gap)),
        "c": ((half, gap), (half, high - gap)),
        "d": ((-half + gap, high), (half - gap, high)),
        "e": ((-half, gap), (-half, high - gap)),
        "f": ((-half, -high + gap), (-half, -gap)),
        "g": ((-half + gap, 0), (half - gap, 0)),
    }
    for segment in SEVEN_SEGMENTS[digit]:
        points = [(cx + x - lean * y, cy + y) for x, y in ends[segment]]
        pen.line(points, 0.066, colour)


def candle(pen: Pen, rng: Random) -> None:
    """A lit candle: wax with drips, wick, flame and its glow; sometimes in a holder."""
    wax = hsv(rng.uniform(0, 360), rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.9))
    if rng.random() < 0.55:
        wax = mix((250, 240, 214), (238, 216, 170), rng.random())
    slim = rng.random() < 0.45
    wide = rng.uniform(0.12, 0.17) if slim else rng.uniform(0.26, 0.38)
    top = rng.uniform(-0.4, -0.15)
    bottom = 0.82 if slim else 0.94
    pen.glow(0, top - 0.26, 0.85, (255, 190, 70), 17)
    if slim or rng.random() < 0.3:
        metal = rng.choice([(190, 150, 60), (150, 152, 158), (60, 58, 60)])
        if slim and rng.random() < 0.5:
            pen.turned([(0.55, wide * 1.5), (0.62, wide * 0.5), (0.85, wide * 0.5), (0.9, wide * 2.4)], metal)
            bottom = 0.6
        pen.ellipse(0, 0.92, wide * 2.5, 0.09, lit(metal, -0.3))
        pen.ellipse(0, 0.89, wide * 2.4, 0.075, metal)
    dip = wide * 0.28
    pen.turned([(top, wide), (bottom, wide), (bottom + dip * 0.5, wide * 0.85)], wax, strips=11)
    for _ in range(rng.randint(1, 4)):
        x, run = rng.uniform(-0.8, 0.8) * wide, rng.uniform(0.12, 0.5) * (bottom - top)
        pen.line([(x, top + 0.02), (x, top + run)], wide * 0.26, lit(wax, 0.16))
    pen.ellipse(0, top, wide, dip, lit(wax, 0.3))
    pen.ellipse(0, top + 0.01, wide * 0.62, dip * 0.6, lit(wax, 0.55))
    pen.line([(0, top), (0.01, top - 0.1)], 0.035, (40, 30, 26))
    _flame(pen, rng, top - 0.05)


def _flame(pen: Pen, rng: Random, base: float) -> None:
    sway = rng.uniform(-0.07, 0.07)
    for size, colour in ((1.0, (255, 140, 20)), (0.78, (255, 196, 50)), (0.5, (255, 244, 190))):
        wide, tall = 0.15 * size, 0.5 * size
        right = [
            (0.0, base),
            (wide, base - 0.25 * tall),
            (wide * 0.6, base - 0.62 * tall),
            (sway, base - tall),
        ]
        left = [
            (sway, base - tall),
            (-wide * 0.6, base - 0.6 * tall),
            (-wide, base - 0.25 * tall),
            (0.0, base),
        ]
        pen.polygon(curve(right) + curve(left), colour)


def hourglass(pen: Pen, rng: Random) -> None:
    """Two glass bulbs with sand between two plates and pillars."""
    frame = rng.choice(
        [hsv(rng.uniform(15, 35), 0.7, rng.uniform(0.3, 0.6)), (40, 36, 36), (190, 154, 70), (180, 182, 186)]
    )
    sand = hsv(rng.uniform(18, 50), rng.uniform(0.35, 0.8), rng.uniform(0.75, 0.98))
    if rng.random() < 0.15:
        sand = hsv(rng.uniform(180, 350), 0.6, 0.85)
    wide, glass = rng.uniform(0.42, 0.5), (214, 228, 234)
    bulb = [
        (wide, -0.76),
        (wide * 1.02, -0.55),
        (wide * 0.78, -0.28),
        (0.05, -0.02),
        (0.05, 0.02),
        (wide * 0.78, 0.28),
        (wide * 1.02, 0.55),
        (wide, 0.76),
    ]
    side = curve(bulb, steps=4)
    pen.turned([(-0.78, 0.05), (0.78, 0.05)], lit(frame, -0.4), strips=3)
    pen.polygon(side + [(-x, y) for x, y in reversed(side)], glass)
    _sand(pen, side, sand, rng.uniform(0.25, 0.75))
    pen.line(side, 0.028, lit(glass, -0.45))
    pen.line([(-x, y) for x, y in side], 0.028, lit(glass, -0.45))
    for y in (-1.0, 1.0):
        shine = [(-wide * 0.72, y * 0.66), (-wide * 0.76, y * 0.52), (-wide * 0.55, y * 0.3)]
        pen.line(curve(shine), 0.05, WHITE, 170)
    _hourglass_frame(pen, frame, wide)


def _sand(pen: Pen, side: Sequence[Point], sand: Colour, fallen: float) -> None:
    """Sand above and below the neck; `side` is the right outline of the glass, `fallen` the share that ran."""
    level = -0.72 + 0.5 * fallen
    upper = [(x * 0.94, y) for x, y in side if level <= y <= -0.01]
    if upper:
        pen.polygon(upper + [(-x, y) for x, y in reversed(upper)], sand)
        pen.polygon([(-upper[0][0], level), (upper[0][0], level), (0, level + 0.1)], lit(sand, -0.25))
    heap = 0.74 - 0.5 * fallen
    lower = [(x * 0.94, y) for x, y in side if y >= min(0.72, heap + 0.2)]
    pen.polygon([(0.0, heap), *lower, *((-x, y) for x, y in reversed(lower))], lit(sand, -0.06))
    pen.line([(0, -0.03), (0, heap + 0.03)], 0.022, sand)


def _hourglass_frame(pen: Pen, frame: Colour, wide: float) -> None:
    for x in (-wide - 0.13, wide + 0.13):
        pen.turned(
            [(-0.8, 0.055), (-0.4, 0.04), (-0.3, 0.065), (0.3, 0.065), (0.4, 0.04), (0.8, 0.055)],
            frame,
            cx=x,
            strips=4,
        )
    plate = wide + 0.26
    for y in (-0.86, 0.86):
        pen.turned(
            [(y - 0.09, plate * 0.96), (y - 0.06, plate), (y + 0.06, plate), (y + 0.09, plate * 0.96)],
            frame,
            strips=9,
        )
