"""Painters of things to eat and drink: mushroom, banana, strawberry, pineapple, wine bottle, coffee mug."""

from __future__ import annotations

import math
from random import Random

from imagenet_builder.demo.drawing_pen import WHITE, Colour, Pen, Point, curve, hsv, lit, mix, ring


def mushroom(pen: Pen, rng: Random) -> None:
    """A domed cap on a stem: spotted red, brown or pale, with gills where the underside shows."""
    kind = rng.random()
    spotted = kind < 0.5
    if spotted:
        cap = hsv(rng.uniform(-8, 14), rng.uniform(0.8, 1), rng.uniform(0.65, 0.9))
    elif kind < 0.85:
        cap = hsv(rng.uniform(18, 34), rng.uniform(0.45, 0.75), rng.uniform(0.35, 0.65))
    else:
        cap = hsv(rng.uniform(25, 45), rng.uniform(0.1, 0.3), rng.uniform(0.75, 0.95))
    stem = mix((240, 232, 214), (206, 184, 150), rng.random())
    wide, top, brim = rng.uniform(0.72, 0.98), rng.uniform(-0.95, -0.75), rng.uniform(-0.12, 0.08)
    thick = rng.uniform(0.16, 0.26)
    pen.turned([(brim - 0.1, thick), (0.4, thick * 0.95), (0.8, thick * 1.3), (0.93, thick * 1.15)], stem)
    if spotted and rng.random() < 0.6:
        pen.polygon(
            [*ring(0, 0.3, thick * 1.7, 0.12, 0, 180), (-thick, 0.22), (thick, 0.22)], lit(stem, -0.08)
        )
    under = rng.uniform(0.1, 0.2)
    pen.ellipse(0, brim, wide, under, lit(stem, -0.18))
    for step in range(-8, 9):
        pen.line(
            [
                (step * 0.02, brim - 0.02),
                (wide * math.sin(step / 9 * 1.45), brim + under * math.cos(step / 9 * 1.45)),
            ],
            0.012,
            lit(stem, -0.4),
        )
    pen.turned([(brim, thick * 0.9), (brim + under + 0.02, thick * 0.95)], lit(stem, -0.12))
    _cap(pen, cap, wide, top, brim, under)
    if spotted:
        _spots(pen, rng, wide, top, brim)


def _cap(pen: Pen, cap: Colour, wide: float, top: float, brim: float, under: float) -> None:
    for layer in range(7):
        t = layer / 7
        dome = ring(-0.16 * t, brim, wide * (1 - 0.6 * t), (brim - top) * (1 - 0.55 * t), 180, 360)
        lift = -(brim - top) * 0.25 * t
        belly = ring(0, brim + 0.02, wide, under * 0.45, 0, 180) if layer == 0 else [(dome[-1][0], brim)]
        pen.polygon(
            [(x, y + lift) for x, y in dome] + [(x, y - 0.04 + lift) for x, y in belly],
            lit(cap, -0.3 + 0.42 * t),
        )


def _spots(pen: Pen, rng: Random, wide: float, top: float, brim: float) -> None:
    for _ in range(rng.randint(8, 15)):
        angle, reach = rng.uniform(math.pi * 1.08, math.pi * 1.92), rng.uniform(0.15, 0.86)
        x, y = wide * reach * math.cos(angle), brim + (brim - top) * reach * math.sin(angle)
        size = rng.uniform(0.05, 0.11) * (1.15 - 0.5 * reach)
        pen.ellipse(x, y, size * 1.15, size, mix(WHITE, (232, 214, 180), rng.random() * 0.6))


def banana(pen: Pen, rng: Random) -> None:
    """A banana, or a hand of two to four."""
    count = rng.choice((1, 1, 2, 3, 4))
    ripe = rng.random()
    skin = hsv(
        rng.uniform(46, 54) + (rng.uniform(6, 16) if ripe < 0.15 else 0),
        rng.uniform(0.75, 0.95),
        rng.uniform(0.85, 1),
    )
    for index in range(count):
        spread = (index - (count - 1) / 2) * 0.24
        _one_banana(pen, rng, skin, spread, speckled=ripe > 0.6)
    if count > 1:
        pen.ellipse(-0.86, -0.38, 0.1, 0.13, (92, 76, 28))


def _one_banana(pen: Pen, rng: Random, skin: Colour, spread: float, speckled: bool) -> None:
    bow = rng.uniform(0.42, 0.58)
    spine: list[Point] = []
    for step in range(15):
        t = step / 14
        angle = math.pi * (1.06 - 1.0 * t)
        spine.append(
            (0.88 * math.cos(angle) + 0.02, -0.4 + (bow + spread + 0.35) * math.sin(angle) + 0.12 * t)
        )
    fat = [0.045, 0.055, 0.1, 0.15, 0.18, 0.195, 0.2, 0.2, 0.2, 0.19, 0.17, 0.14, 0.1, 0.06, 0.035]
    for low, high, light in ((-1.0, 1.0, -0.28), (-0.8, 0.75, 0.0), (-0.75, 0.1, 0.16), (-0.45, -0.2, 0.42)):
        pen.polygon(_ribbon(spine, fat, low, high), lit(skin, light))
    pen.line([spine[0], spine[1]], 0.09, (120, 104, 36))
    pen.line([spine[-2], spine[-1]], 0.07, (56, 42, 24))
    if speckled:
        for _ in range(rng.randint(6, 16)):
            x, y = spine[rng.randint(3, 11)]
            pen.ellipse(
                x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.12, 0.12), 0.018, 0.013, (110, 78, 30)
            )


def _ribbon(spine: list[Point], fat: list[float], low: float, high: float) -> list[Point]:
    """The band beside a spine between low and high (-1 the inner edge, 1 the outer one) of its half width."""
    upper: list[Point] = []
    lower: list[Point] = []
    for index, (x, y) in enumerate(spine):
        (x0, y0), (x1, y1) = spine[max(0, index - 1)], spine[min(len(spine) - 1, index + 1)]
        length = math.hypot(x1 - x0, y1 - y0)
        nx, ny = -(y1 - y0) / length, (x1 - x0) / length
        upper.append((x + nx * fat[index] * low, y + ny * fat[index] * low))
        lower.append((x + nx * fat[index] * high, y + ny * fat[index] * high))
    return curve(upper, steps=2) + list(reversed(curve(lower, steps=2)))


def strawberry(pen: Pen, rng: Random) -> None:
    """A red heart with seeds and a green calyx."""
    red = hsv(rng.uniform(-10, 8), rng.uniform(0.85, 1), rng.uniform(0.7, 0.95))
    long, wide = rng.uniform(0.85, 0.98), rng.uniform(0.66, 0.82)
    half = curve(
        [(0, -0.56), (wide * 0.62, -0.6), (wide, -0.25), (wide * 0.78, 0.25), (wide * 0.38, 0.72), (0, long)]
    )
    outline = half + [(-x, y) for x, y in reversed(half)]
    for layer in range(7):
        t = layer / 7
        pen.polygon(
            [(x * (1 - 0.75 * t) - 0.2 * t, y * (1 - 0.72 * t) - 0.16 * t) for x, y in outline],
            lit(red, -0.32 + 0.46 * t),
        )
    seed = mix((246, 214, 96), (226, 170, 70), rng.random())
    for row in range(8):
        y = -0.42 + row * 0.165
        reach = wide * (0.86 - 0.085 * row - 0.006 * row * row)
        places = max(1, round(reach / 0.145))
        for place in range(-places, places + 1):
            x = (place + (0.5 if row % 2 else 0)) * 0.21
            if abs(x) < reach:
                pen.ellipse(x, y + 0.008, 0.027, 0.043, lit(red, -0.5))
                pen.ellipse(x, y, 0.02, 0.036, seed)
    leaf = hsv(rng.uniform(95, 135), rng.uniform(0.6, 0.9), rng.uniform(0.4, 0.65))
    for angle in range(0, 360, 45):
        turn = math.radians(angle + rng.uniform(-10, 10))
        tip = (0.52 * math.cos(turn), -0.6 + 0.24 * math.sin(turn) + 0.06)
        side = (-0.11 * math.sin(turn), 0.07 * math.cos(turn) - 0.03)
        pen.polygon(
            [(side[0], -0.6 + side[1]), tip, (-side[0], -0.6 - side[1])], lit(leaf, rng.uniform(-0.25, 0.15))
        )
    pen.line([(0, -0.6), (rng.uniform(-0.12, 0.12), -0.92)], 0.06, lit(leaf, -0.1))


def pineapple(pen: Pen, rng: Random) -> None:
    """An oval of diamonds under a crown of pointed leaves."""
    skin = hsv(rng.uniform(28, 46), rng.uniform(0.7, 0.95), rng.uniform(0.65, 0.9))
    leaf = hsv(rng.uniform(85, 140), rng.uniform(0.5, 0.8), rng.uniform(0.35, 0.6))
    wide = rng.uniform(0.46, 0.56)
    for layer, reach in enumerate((0.95, 0.85, 0.7)):
        for step in range(-4 + layer, 5 - layer):
            lean = step * (0.26 - 0.03 * layer)
            tip = (lean * 0.95 * 1.3, -0.2 - reach * math.cos(lean * 0.9))
            pen.polygon(
                [(lean * 0.25 - 0.09, -0.15), tip, (lean * 0.25 + 0.09, -0.15)],
                lit(leaf, rng.uniform(-0.3, 0.12) + 0.05 * layer),
            )
    pen.ball(0, 0.4, wide, 0.6, skin, shine=0.12)
    for row in range(8):
        y = -0.1 + row * 0.145
        reach = wide * math.sqrt(max(0.0, 1 - ((y - 0.4) / 0.6) ** 2))
        for place in range(-4, 5):
            u = (place + (0.5 if row % 2 else 0)) / 4.2
            if abs(u) < 0.92 and reach > 0.08:
                x, half = reach * math.sin(u * math.pi / 2), reach * 0.19 * math.cos(u * math.pi / 2) + 0.012
                diamond = [(x - half, y), (x, y - 0.1), (x + half, y), (x, y + 0.1)]
                pen.line([*diamond, diamond[0]], 0.022, lit(skin, -0.55))
                pen.ellipse(x, y, 0.024, 0.03, lit(skin, -0.4))
    pen.line([(-0.1, 0.99), (0.1, 0.99)], 0.05, lit(skin, -0.5))


def wine_bottle(pen: Pen, rng: Random) -> None:
    """A shouldered bottle with capsule and label, sometimes lying, sometimes with a second behind it."""
    glass = rng.choice(
        [hsv(rng.uniform(90, 135), 0.7, rng.uniform(0.2, 0.38)), (52, 16, 26), (64, 44, 20), (30, 52, 36)]
    )
    sloping = rng.random() < 0.4
    wide = rng.uniform(0.25, 0.3)
    neck = rng.uniform(0.085, 0.1)
    if sloping:
        side = [
            (neck, -0.98),
            (neck, -0.55),
            (wide * 0.8, -0.2),
            (wide, 0.1),
            (wide, 0.9),
            (wide * 0.9, 0.98),
        ]
    else:
        side = [
            (neck, -0.98),
            (neck, -0.46),
            (wide * 0.75, -0.34),
            (wide, -0.2),
            (wide, 0.9),
            (wide * 0.9, 0.98),
        ]
    profile = [(y, x) for x, y in side]
    pen.turned(profile, glass, shine=0.35, strips=12)
    capsule = hsv(rng.uniform(0, 360), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.8))
    pen.turned([(-0.98, neck * 1.08), (-0.7, neck * 1.08)], capsule)
    pen.turned([(-0.99, neck * 1.25), (-0.93, neck * 1.25)], lit(capsule, -0.15))
    high = rng.uniform(0.05, 0.2)
    _label(pen, rng, wide, high)
    pen.rectangle(-wide * 0.72, -0.1 if sloping else -0.16, -wide * 0.56, high - 0.03, WHITE, alpha=110)


def _label(pen: Pen, rng: Random, wide: float, high: float) -> None:
    low = rng.uniform(0.62, 0.78)
    paper = mix((240, 234, 214), (214, 196, 150), rng.random())
    pen.turned([(high, wide * 1.01), (low, wide * 1.01)], paper, shine=0.1, strips=12)
    accent = hsv(rng.uniform(0, 360), 0.7, 0.5)
    pen.rectangle(-wide * 0.75, high + 0.05, wide * 0.75, high + 0.08, accent)
    pen.text(
        rng.choice(("MERLOT", "RIOJA", "CHIANTI", "MALBEC", "PINOT")),
        0,
        (low + high) / 2,
        0.12,
        accent,
        wide * 1.4,
    )
    pen.ellipse(0, low - 0.1, 0.06, 0.04, accent)


def coffee_mug(pen: Pen, rng: Random) -> None:
    """A mug with an ear, seen from slightly above, coffee in it."""
    colour = hsv(rng.uniform(0, 360), rng.uniform(0.0, 0.95), rng.uniform(0.45, 0.97))
    top, bottom, wide = rng.uniform(-0.7, -0.55), rng.uniform(0.65, 0.8), rng.uniform(0.54, 0.64)
    dip, taper = rng.uniform(0.11, 0.2), rng.uniform(0.82, 1.0)
    ear = ring(wide * 0.92, (top + bottom) / 2, rng.uniform(0.34, 0.42), (bottom - top) * 0.32, -100, 100)
    pen.line(ear, 0.17, lit(colour, -0.35))
    pen.line(ear, 0.1, lit(colour, -0.08))
    pen.ellipse(0, bottom, wide * taper, dip * 0.8, lit(colour, -0.3))
    pen.turned(
        [(top, wide), (bottom, wide * taper), (bottom + dip * 0.5, wide * taper * 0.82)], colour, strips=14
    )
    _decorate(pen, rng, colour, top, bottom, wide)
    pen.ellipse(0, top, wide, dip, lit(colour, 0.25))
    pen.ellipse(0, top + 0.012, wide * 0.9, dip * 0.82, lit(colour, -0.4))
    coffee = hsv(rng.uniform(18, 28), rng.uniform(0.6, 0.9), rng.uniform(0.18, 0.42))
    pen.ellipse(0, top + 0.045, wide * 0.86, dip * 0.68, coffee)
    if rng.random() < 0.4:
        for x in (-0.2, 0.05, 0.28):
            steam = curve(
                [(x, top - 0.04), (x + 0.06, top - 0.16), (x - 0.05, top - 0.28), (x + 0.03, top - 0.4)]
            )
            pen.line(steam, 0.05, WHITE, 120)


def _decorate(pen: Pen, rng: Random, colour: Colour, top: float, bottom: float, wide: float) -> None:
    paint = hsv(rng.uniform(0, 360), rng.uniform(0.5, 1), rng.uniform(0.3, 0.9))
    kind = rng.random()
    middle = (top + bottom) / 2 + 0.08
    if kind < 0.25:
        for shift in (-0.16, 0.02, 0.2):
            pen.turned(
                [(middle + shift, wide * 0.97), (middle + shift + 0.09, wide * 0.96)], paint, strips=14
            )
    elif kind < 0.45:
        heart = [
            (0, 0.24),
            (-0.26, -0.02),
            (-0.22, -0.17),
            (-0.08, -0.18),
            (0, -0.08),
            (0.08, -0.18),
            (0.22, -0.17),
            (0.26, -0.02),
        ]
        pen.polygon([(x - 0.05, y + middle) for x, y in heart], paint)
    elif kind < 0.6:
        for _ in range(12):
            pen.ellipse(rng.uniform(-0.42, 0.42), rng.uniform(top + 0.3, bottom - 0.05), 0.05, 0.05, paint)
    else:
        pen.rectangle(-wide * 0.72, top + 0.25, -wide * 0.6, bottom - 0.1, lit(colour, 0.6), alpha=110)
