"""Painters of things met outdoors: umbrella, traffic light, street sign, hot-air balloon, soccer ball."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from random import Random

import numpy as np
from numpy.typing import NDArray

from imagenet_builder.demo.drawing_pen import BLACK, WHITE, Colour, Pen, Point, curve, hsv, lit, mix, ring

STREETS = (
    "OAK",
    "ELM",
    "PINE",
    "MAIN",
    "LAKE",
    "HILL",
    "PARK",
    "MILL",
    "RIVER",
    "KING",
    "NORTH",
    "ROSE",
    "1ST",
    "5TH",
)
WAYS = ("ST", "AVE", "RD", "LN", "DR", "BLVD")


def umbrella(pen: Pen, rng: Random) -> None:
    """An open umbrella from the side: panels, scalloped edge, ribs, shaft and crook."""
    panels = rng.choice((5, 6, 6, 7, 8))
    top, edge = rng.uniform(-0.85, -0.7), rng.uniform(-0.05, 0.12)
    hue = rng.uniform(0, 360)
    first = hsv(hue, rng.uniform(0.55, 1.0), rng.uniform(0.45, 0.95))
    second = (
        first
        if rng.random() < 0.45
        else hsv(hue + rng.uniform(60, 300), rng.uniform(0.1, 1), rng.uniform(0.5, 1))
    )
    if rng.random() < 0.15:
        first = second = (38, 38, 44)
    _umbrella_stick(pen, rng, top)
    sag = rng.uniform(0.05, 0.12)
    if rng.random() < 0.6:
        pen.ellipse(0, edge, 0.9, 0.13, lit(first, -0.55))
        pen.line([(0, edge + 0.15), (0, edge - 0.1)], 0.05, (70, 70, 74))
    corners = [-0.98 * math.cos(math.pi * step / panels) for step in range(panels + 1)]
    for index, (left, right) in enumerate(pairwise(corners)):
        middle = (left + right) / 2
        colour = lit(first if index % 2 == 0 else second, -0.25 * middle - 0.12)
        outline = [(0.0, top), *_rib(left, top, edge)]
        outline += ring(middle, edge, (right - left) / 2, sag * min(1.0, (right - left) * 4), 180, 360)
        outline += list(reversed(_rib(right, top, edge)))
        pen.polygon(outline, colour)
    for x in corners[1:-1]:
        pen.line([(0.0, top), *_rib(x, top, edge)], 0.018, lit(first, -0.5))
    pen.line([(0, top), (0, top - 0.13)], 0.05, (90, 80, 70))


def _rib(x: float, top: float, edge: float) -> list[Point]:
    """From under the tip along the dome to the edge at x."""
    return [
        (x * math.sin(turn), edge - (edge - top) * math.cos(turn))
        for turn in (math.pi / 2 * step / 8 for step in range(1, 9))
    ]


def _umbrella_stick(pen: Pen, rng: Random, top: float) -> None:
    wood = hsv(rng.uniform(15, 40), rng.uniform(0.3, 0.8), rng.uniform(0.25, 0.6))
    pen.line([(0, top + 0.2), (0, 0.75)], 0.055, (96, 98, 104))
    if rng.random() < 0.8:
        hook = [(0.0, 0.62), *ring(-0.13, 0.8, 0.13, 0.15, 0, 190)]
        pen.line(hook, 0.085, wood)
    else:
        pen.line([(0, 0.6), (0, 0.95)], 0.1, wood)


def traffic_light(pen: Pen, rng: Random) -> None:
    """A housing with red, amber and green lamps, one of them lit."""
    body = rng.choice([(34, 36, 38), (52, 58, 54), (206, 158, 26), (30, 62, 48), (222, 176, 40)])
    if rng.random() < 0.6:
        pen.rectangle(-0.06, 0.6, 0.06, 1.7, (92, 94, 98))
        pen.rectangle(-0.06, 0.6, -0.02, 1.7, (130, 132, 136))
    if rng.random() < 0.35:
        pen.rectangle(-0.56, -1.06, 0.56, 0.96, (18, 18, 20), 0.1)
        pen.rectangle(-0.52, -1.02, 0.52, 0.92, rng.choice([(28, 28, 30), (228, 200, 60)]), 0.08)
    pen.rectangle(-0.4, -0.95, 0.4, 0.85, lit(body, -0.35), 0.12)
    pen.rectangle(-0.36, -0.93, 0.34, 0.81, body, 0.1)
    shining = rng.choice(((0,), (0,), (2,), (2,), (1,), (0, 1)))
    hues = (rng.uniform(-8, 6), rng.uniform(36, 50), rng.uniform(120, 165))
    for lamp, hue in enumerate(hues):
        y = -0.63 + 0.57 * lamp
        on = lamp in shining
        pen.ellipse(0, y, 0.265, 0.265, (14, 14, 16))
        if on:
            pen.glow(0, y, 0.55, hsv(hue, 0.8, 1.0), 22)
            pen.ball(0, y, 0.225, 0.225, hsv(hue, 0.9, 1.0), shine=0.65)
        else:
            pen.ball(0, y, 0.225, 0.225, hsv(hue, 0.85, 0.36), shine=0.12)
        visor = [*ring(0, y, 0.28, 0.28, 180, 360), *reversed(ring(0, y + 0.07, 0.24, 0.22, 180, 360))]
        pen.polygon(visor, lit(body, -0.5))


def street_sign(pen: Pen, rng: Random) -> None:
    """Name plates on a post, a stop sign, or a warning diamond."""
    kind = rng.random()
    pole = rng.choice([(120, 122, 126), (84, 88, 84), (112, 92, 70), (150, 150, 150)])
    bottom = 1.25
    pen.rectangle(-0.055, -0.9 if kind < 0.62 else -0.4, 0.055, bottom, pole)
    pen.rectangle(-0.055, -0.9 if kind < 0.62 else -0.4, -0.015, bottom, lit(pole, 0.3))
    if kind < 0.62:
        ground = rng.choice(
            [(0, 104, 62), (0, 96, 72), (18, 66, 140), (16, 84, 52), (128, 34, 40), (40, 40, 44)]
        )
        _plate(pen, rng, -0.62, ground, rng.uniform(0.85, 0.98))
        if rng.random() < 0.5:
            _plate(pen, rng, -0.2, ground, rng.uniform(0.75, 0.95))
    elif kind < 0.82:
        octagon = [
            (0.72 * math.cos(math.radians(a)), -0.32 + 0.72 * math.sin(math.radians(a)))
            for a in range(22, 382, 45)
        ]
        inner = [(x * 0.93, (y + 0.32) * 0.93 - 0.32) for x, y in octagon]
        pen.polygon(octagon, WHITE)
        pen.polygon(inner, hsv(rng.uniform(-6, 6), 0.88, rng.uniform(0.66, 0.82)))
        pen.text("STOP", 0, -0.32, 0.4, WHITE, 1.15)
    else:
        _diamond(pen, rng)


def _plate(pen: Pen, rng: Random, y: float, ground: Colour, half: float) -> None:
    pen.rectangle(-half, y - 0.19, half, y + 0.19, WHITE, 0.05)
    pen.rectangle(-half + 0.03, y - 0.16, half - 0.03, y + 0.16, ground, 0.04)
    pen.text(f"{rng.choice(STREETS)} {rng.choice(WAYS)}", 0, y, 0.2, WHITE, 2 * half - 0.2)
    for x in (-half + 0.07, half - 0.07):
        pen.ellipse(x, y, 0.02, 0.02, (190, 190, 190))


def _diamond(pen: Pen, rng: Random) -> None:
    yellow = rng.choice([(250, 196, 20), (244, 178, 24), (248, 214, 60)])
    pen.polygon([(0, -1.1), (0.78, -0.32), (0, 0.46), (-0.78, -0.32)], BLACK)
    pen.polygon([(0, -1.03), (0.71, -0.32), (0, 0.39), (-0.71, -0.32)], yellow)
    if rng.random() < 0.5:
        bend = rng.choice((-1, 1))
        arrow = [(-0.14 * bend, 0.05), (-0.14 * bend, -0.3), (0.2 * bend, -0.5)]
        pen.line(arrow, 0.12, BLACK)
        pen.polygon([(0.36 * bend, -0.6), (0.08 * bend, -0.62), (0.22 * bend, -0.36)], BLACK)
    else:
        pen.rectangle(-0.07, -0.75, 0.07, -0.18, BLACK, 0.05)
        pen.ellipse(0, -0.02, 0.09, 0.09, BLACK)


def balloon(pen: Pen, rng: Random) -> None:
    """A hot-air balloon: gores in colours, ropes and a basket."""
    gores = rng.choice((7, 9, 11, 13))
    hue = rng.uniform(0, 360)
    palette = [
        hsv(hue + turn, rng.uniform(0.6, 1), rng.uniform(0.65, 1)) for turn in (0, rng.uniform(40, 180))
    ]
    if rng.random() < 0.5:
        palette.append(WHITE if rng.random() < 0.5 else hsv(hue + 220, 0.8, 0.9))
    mouth, wide = 0.13, rng.uniform(0.72, 0.86)
    heights = [-1.0, -0.97, -0.85, -0.65, -0.35, -0.1, 0.12, 0.32, 0.44]
    widths = [0.0, 0.25, 0.55, 0.84, 1.0, 0.93, 0.68, 0.36, mouth / wide]
    side = curve(list(zip(widths, heights, strict=True)), steps=3)
    chevron = rng.random() < 0.35
    for gore in range(gores):
        left, right = (math.sin(math.pi * (edge / gores - 0.5)) for edge in (gore, gore + 1))
        colour = palette[gore % len(palette)]
        shading = -0.42 * ((left + right) / 2 + 0.3) ** 2
        outline = [(left * half * wide, y) for half, y in side]
        outline += [(right * half * wide, y) for half, y in reversed(side)]
        pen.polygon(outline, lit(colour, shading))
        if chevron:
            belt = [(half, y) for half, y in side if -0.5 < y < -0.05]
            band = [(left * half * wide, y) for half, y in belt] + [
                (right * half * wide, y) for half, y in reversed(belt)
            ]
            pen.polygon(band, lit(palette[(gore + 1) % len(palette)], shading))
    for x in (-0.11, -0.04, 0.04, 0.11):
        pen.line([(x * 1.15, 0.43), (x, 0.78)], 0.014, (70, 56, 44))
    wicker = hsv(rng.uniform(22, 36), 0.6, rng.uniform(0.4, 0.62))
    pen.polygon([(-0.14, 0.76), (0.14, 0.76), (0.12, 0.98), (-0.12, 0.98)], wicker)
    pen.line([(-0.14, 0.77), (0.14, 0.77)], 0.04, lit(wicker, -0.4))
    pen.line([(-0.13, 0.87), (0.13, 0.87)], 0.02, lit(wicker, -0.3))


def soccer_ball(pen: Pen, rng: Random) -> None:
    """A ball of white hexagons and dark pentagons in any orientation (a truncated icosahedron, projected)."""
    pale = mix(WHITE, (206, 204, 190), rng.random())
    dark = (
        BLACK if rng.random() < 0.7 else hsv(rng.uniform(0, 360), rng.uniform(0.6, 1), rng.uniform(0.3, 0.6))
    )
    pen.ball(0, 0, 0.95, 0.95, pale, shine=0.5)
    corners = _icosahedron() @ _random_turn(rng).T
    edges = [(a, b) for a, b in combinations(range(12), 2) if np.linalg.norm(corners[a] - corners[b]) < 1.2]
    for a, b in edges:
        seam = np.linspace(corners[a] * 2 + corners[b], corners[a] + corners[b] * 2, 4)
        seam = seam / np.linalg.norm(seam, axis=1, keepdims=True)
        if float(seam[:, 2].min()) > 0.02:
            pen.line([(0.95 * float(x), 0.95 * float(y)) for x, y, _ in seam], 0.028, (104, 104, 104))
    for centre in range(12):
        rim = [2 * corners[centre] + corners[b if a == centre else a] for a, b in edges if centre in (a, b)]
        _pentagon(pen, corners[centre], np.array(rim), dark)
    pen.ellipse(-0.32, -0.36, 0.3, 0.26, WHITE, 26)


def _icosahedron() -> NDArray[np.float64]:
    """Twelve unit vectors, (12, 3)."""
    golden = (1 + math.sqrt(5)) / 2
    found = [(0.0, s, t * golden) for s in (-1, 1) for t in (-1, 1)]
    turned = [point[shift:] + point[:shift] for shift in range(3) for point in found]
    corners: NDArray[np.float64] = np.array(turned) / math.hypot(1, golden)
    return corners


def _random_turn(rng: Random) -> NDArray[np.float64]:
    """A rotation matrix, (3, 3), from a random unit quaternion."""
    w, x, y, z = (rng.gauss(0, 1) for _ in range(4))
    norm = w * w + x * x + y * y + z * z
    turn: NDArray[np.float64] = np.eye(3) + 2 / norm * np.array(
        [
            [-y * y - z * z, x * y - w * z, x * z + w * y],
            [x * y + w * z, -x * x - z * z, y * z - w * x],
            [x * z - w * y, y * z + w * x, -x * x - y * y],
        ]
    )
    return turn


def _pentagon(pen: Pen, centre: NDArray[np.float64], rim: NDArray[np.float64], fill: Colour) -> None:
    if centre[2] < -0.3:
        return
    rim = rim / np.linalg.norm(rim, axis=1, keepdims=True)
    across = rim[0] - centre * (rim[0] @ centre)
    aside = np.cross(centre, across)
    order = np.argsort(np.arctan2(rim @ aside, rim @ across))
    outline = rim[np.append(order, order[0])]
    fine = np.concatenate([np.linspace(one, two, 4)[:-1] for one, two in pairwise(outline)])
    fine = fine / np.linalg.norm(fine, axis=1, keepdims=True)
    if float(fine[:, 2].max()) <= 0:
        return
    # What lies behind the horizon is drawn on it, so that pentagons at the edge are cut by the outline.
    flat = np.hypot(fine[:, 0], fine[:, 1])
    behind = fine[:, 2] < 0
    fine[behind] /= flat[behind, None]
    pen.polygon([(0.95 * float(x), 0.95 * float(y)) for x, y, _ in fine], fill)
