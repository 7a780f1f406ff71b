"""A pen that draws in an object's own plane and puts it on a canvas in perspective.

Painters think in units: x to the right, y down, the object within [-1, 1] × [-1, 1]. The pen's pose maps
units to canvas pixels. Canvases are larger than the final picture; reducing them is the antialiasing.
"""

from __future__ import annotations

import colorsys
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]
Matrix = tuple[float, float, float, float, float, float, float, float]
Painter = Callable[["Pen", Random], None]

WHITE: Colour = (246, 246, 242)
BLACK: Colour = (24, 24, 26)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """The colour of `hue` in degrees (any turn), `saturation` and `value` in 0..1."""
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`one` at share 0, `other` at share 1, clipped between."""
    part = min(1.0, max(0.0, share))
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue


def lit(colour: Colour, light: float) -> Colour:
    """`colour` brighter (light above 0, white at 1) or darker (below 0, black at -1)."""
    return mix(colour, (255, 255, 255), light) if light >= 0 else mix(colour, (0, 0, 0), -light)


def ring(cx: float, cy: float, rx: float, ry: float, start: float = 0, stop: float = 360) -> list[Point]:
    """Points along an ellipse from `start` to `stop` degrees, clockwise from the right as seen."""
    steps = max(6, round(abs(stop - start) / 9))
    angles = (math.radians(start + (stop - start) * step / steps) for step in range(steps + 1))
    return [(cx + rx * math.cos(angle), cy + ry * math.sin(angle)) for angle in angles]


def curve(through: Sequence[Point], closed: bool = False, steps: int = 6) -> list[Point]:
    """A smooth Catmull-Rom curve through the points."""
    count = len(through)
    found: list[Point] = []
    for index in range(count if closed else count - 1):
        if closed:
            four = [through[(index + shift) % count] for shift in (-1, 0, 1, 2)]
        else:
            four = [through[min(count - 1, max(0, index + shift))] for shift in (-1, 0, 1, 2)]
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = four
        for step in range(steps):
            t = step / steps
            a, b, c, d = -t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2
            found.append(((a * x0 + b * x1 + c * x2 + d * x3) / 2, (a * y0 + b * y1 + c * y2 + d * y3) / 2))
    if not closed:
        found.append(through[-1])
    return found


@dataclass(frozen=True, slots=True)
class Pose:
    """Where and how an object stands: centre and size in canvas pixels, turns in degrees, the rest as factors."""

    x: float
    y: float
    size: float
    turn: float = 0.0
    stretch: float = 1.0
    shear: float = 0.0
    tip_x: float = 0.0
    tip_y: float = 0.0
    mirrored: bool = False

    def matrix(self) -> Matrix:
        """The eight numbers of the homography from units to canvas pixels; `size` is two units long."""
        half = self.size / 2
        wide, high = half * math.sqrt(self.stretch), half / math.sqrt(self.stretch)
        if self.mirrored:
            wide = -wide
        cos, sin = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
        a, b = cos * wide, cos * self.shear * high - sin * high
        d, e = sin * wide, sin * self.shear * high + cos * high
        g, h = self.tip_x, self.tip_y
        return a + g * self.x, b + h * self.x, self.x, d + g * self.y, e + h * self.y, self.y, g, h


class Pen:
    """Draws shapes given in units on a canvas (RGB) through a pose."""

    def __init__(self, canvas: Image.Image, pose: Pose) -> None:
        self.canvas = canvas
        self.pose = pose
        self.pixels_per_unit = pose.size / 2
        self._matrix = pose.matrix()
        self._opaque = ImageDraw.Draw(canvas)
        self._glaze = ImageDraw.Draw(canvas, "RGBA")

    def on_canvas(self, points: Sequence[Point]) -> list[Point]:
        """The points in canvas pixels."""
        a, b, c, d, e, f, g, h = self._matrix
        return [
            ((a * x + b * y + c) / (g * x + h * y + 1), (d * x + e * y + f) / (g * x + h * y + 1))
            for x, y in points
        ]

    def polygon(self, points: Sequence[Point], fill: Colour, alpha: int = 255) -> None:
        if alpha >= 255:
            self._opaque.polygon(self.on_canvas(points), fill=fill)
        else:
            self._glaze.polygon(self.on_canvas(points), fill=(*fill, alpha))

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, fill: Colour, alpha: int = 255) -> None:
        self.polygon(ring(cx, cy, rx, ry), fill, alpha)

    def rectangle(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour, corner: float = 0.0, alpha: int = 255
    ) -> None:
        if corner <= 0:
            self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, alpha)
            return
        round_corners = [
            *ring(x1 - corner, y0 + corner, corner, corner, -90, 0),
            *ring(x1 - corner, y1 - corner, corner, corner, 0, 90),
            *ring(x0 + corner, y1 - corner, corner, corner, 90, 180),
            *ring(x0 + corner, y0 + corner, corner, corner, 180, 270),
        ]
        self.polygon(round_corners, fill, alpha)

    def line(self, points: Sequence[Point], width: float, fill: Colour, alpha: int = 255) -> None:
        """A line `width` units wide with rounded joints and ends."""
        pixels = max(1, round(width * self.pixels_per_unit))
        placed = self.on_canvas(points)
        if alpha < 255:
            self._glaze.line(placed, fill=(*fill, alpha), width=pixels)
            return
        self._opaque.line(placed, fill=fill, width=pixels, joint="curve")
        if pixels > 3:
            half = pixels / 2
            for x, y in (placed[0], placed[-1]):
                self._opaque.ellipse((x - half, y - half, x + half, y + half), fill=fill)

    def ball(
        self,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        colour: Colour,
        *,
        shine: float = 0.35,
        steps: int = 9,
    ) -> None:
        """An ellipsoid lit from the upper left."""
        for step in range(steps):
            t = step / steps
            self.ellipse(
                cx - 0.32 * rx * t,
                cy - 0.36 * ry * t,
                rx * (1 - t),
                ry * (1 - t),
                lit(colour, -0.38 + (0.38 + shine) * t),
            )

    def turned(
        self,
        profile: Sequence[Point],
        colour: Colour,
        *,
        cx: float = 0.0,
        shine: float = 0.25,
        strips: int = 9,
        alpha: int = 255,
    ) -> None:
        """A body of revolution round the vertical through cx; profile is (y, half width) from top to bottom."""
        for strip in range(strips):
            left, right = -1 + 2 * strip / strips, -1 + 2 * (strip + 1) / strips
            toward_light = math.cos((left + right) / 2 * 1.35 + 0.5)
            outline = [(cx + left * half, y) for y, half in profile]
            outline += [(cx + right * half, y) for y, half in reversed(profile)]
            self.polygon(outline, lit(colour, -0.45 + (0.45 + shine) * toward_light), alpha)

    def glow(self, cx: float, cy: float, radius: float, colour: Colour, strength: int = 26) -> None:
        for step in range(6):
            share = 1 - step / 6
            self.ellipse(cx, cy, radius * share, radius * share, colour, strength)

    def text(self, words: str, cx: float, cy: float, height: float, fill: Colour, width: float = 9.0) -> None:
        """One line of text centred on (cx, cy), `height` units high, squeezed to `width` units at most."""
        mask = _text_mask(words)
        tall = height / mask.height
        wide = min(tall, width / mask.width)
        a, b, c, d, e, f, g, h = self._matrix
        units = np.array([[a, b, c], [d, e, f], [g, h, 1.0]])
        letters = np.array(
            [[wide, 0, cx - wide * mask.width / 2], [0, tall, cy - tall * mask.height / 2], [0, 0, 1.0]]
        )
        corners = self.on_canvas(
            [
                (cx + sx * wide * mask.width / 2, cy + sy * tall * mask.height / 2)
                for sx in (-1, 1)
                for sy in (-1, 1)
            ]
        )
        left, top = math.floor(min(x for x, _ in corners)), math.floor(min(y for _, y in corners))
        right, bottom = math.ceil(max(x for x, _ in corners)), math.ceil(max(y for _, y in corners))
        if right <= left or bottom <= top:
            return
        shift = np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
        back = np.linalg.inv(units @ letters) @ shift
        back /= back[2, 2]
        placed = mask.transform(
            (right - left, bottom - top),
            Image.Transform.PERSPECTIVE,
            [float(number) for number in back.flatten()[:8]],
            Image.Resampling.BILINEAR,
        )
        self.canvas.paste(fill, (left, top), placed)


@functools.cache
def _text_mask(words: str) -> Image.Image:
    font = ImageFont.load_default(size=48)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(words))
    mask = Image.new("L", (right - left + 4, bottom - top + 4))
    ImageDraw.Draw(mask).text((2 - left, 2 - top), words, fill=255, font=font)
    return mask
