"""What stands behind and around the drawn objects: backdrops, clutter, and things of no class."""

from __future__ import annotations

import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from imagenet_builder.demo.drawing_pen import BLACK, WHITE, Colour, Painter, Pen, curve, hsv, lit, mix, ring

Size = tuple[int, int]


def any_colour(rng: Random) -> Colour:
    """A colour as the world has them: mostly muted, sometimes strong."""
    return hsv(rng.uniform(0, 360), rng.random() ** 1.6, rng.uniform(0.12, 0.98))


def clouded(size: Size, rng: Random, one: Colour, other: Colour, grain: float) -> Image.Image:
    """Two colours mixed by smooth noise whose blots are `grain` of the shorter side."""
    noise = np.random.default_rng(rng.getrandbits(32))
    total = Image.new("L", size)
    for octave, weight in ((1.0, None), (0.3, 0.4), (0.09, 0.3)):
        cell = max(3.0, min(size) * grain * octave)
        rows, columns = max(2, round(size[1] / cell)), max(2, round(size[0] / cell))
        coarse = Image.fromarray(noise.integers(0, 256, (rows, columns), dtype=np.uint8))
        layer = coarse.resize(size, Image.Resampling.BICUBIC)
        total = layer if weight is None else Image.blend(total, layer, weight)
    return Image.composite(Image.new("RGB", size, one), Image.new("RGB", size, other), total)


def gradient(size: Size, rng: Random) -> Image.Image:
    corners = [any_colour(rng) for _ in range(2)]
    corners += [mix(corners[0], corners[1], rng.random()), mix(corners[1], any_colour(rng), 0.5)]
    rng.shuffle(corners)
    small = Image.new("RGB", (2, 2))
    small.putdata(corners)
    return small.resize(size, Image.Resampling.BILINEAR)


def texture(size: Size, rng: Random) -> Image.Image:
    base = any_colour(rng)
    other = lit(base, rng.uniform(-0.6, 0.5)) if rng.random() < 0.6 else any_colour(rng)
    return clouded(size, rng, base, other, rng.uniform(0.05, 0.8))


def bricks(size: Size, rng: Random) -> Image.Image:
    clay = hsv(rng.uniform(0, 30), rng.uniform(0.2, 0.75), rng.uniform(0.35, 0.85))
    canvas = Image.new("RGB", size, mix(clay, (200, 196, 190), rng.uniform(0.3, 0.9)))
    pen = ImageDraw.Draw(canvas)
    high = max(8, min(size) * rng.uniform(0.05, 0.13))
    wide, joint = high * rng.uniform(1.8, 2.8), max(1, round(high * 0.1))
    for row in range(int(size[1] / high) + 1):
        for column in range(-1, int(size[0] / wide) + 1):
            x, y = (column + 0.5 * (row % 2)) * wide, row * high
            pen.rectangle((x, y, x + wide - joint, y + high - joint), fill=lit(clay, rng.uniform(-0.2, 0.15)))
    return canvas


def landscape(size: Size, rng: Random) -> Image.Image:
    """Sky with clouds above ground: grass, sand, water or asphalt."""
    wide, high = size
    horizon = round(high * rng.uniform(0.4, 0.8))
    day = rng.random()
    blue = hsv(rng.uniform(195, 225), rng.uniform(0.3, 0.75), rng.uniform(0.7, 1.0))
    sky = blue if day < 0.7 else hsv(rng.uniform(5, 45), rng.uniform(0.3, 0.7), rng.uniform(0.6, 0.95))
    canvas = clouded(size, rng, mix(sky, WHITE, 0.75), sky, rng.uniform(0.3, 0.9))
    ground = rng.choice(
        [hsv(rng.uniform(75, 130), 0.6, rng.uniform(0.3, 0.6)), (196, 172, 128), (52, 92, 122), (96, 96, 98)]
    )
    below = clouded((wide, high - horizon), rng, ground, lit(ground, -0.35), rng.uniform(0.05, 0.3))
    canvas.paste(below, (0, horizon))
    if rng.random() < 0.5:
        hills = [(x, horizon - high * 0.12 * rng.random()) for x in range(0, wide + 60, 60)]
        ImageDraw.Draw(canvas).polygon(
            [(0, horizon), *hills, (wide, horizon)], fill=lit(mix(ground, sky, 0.4), -0.2)
        )
    return canvas


def bokeh(size: Size, rng: Random) -> Image.Image:
    dark = rng.random() < 0.6
    base = lit(any_colour(rng), -0.7) if dark else any_colour(rng)
    half = (size[0] // 2, size[1] // 2)
    canvas = Image.new("RGB", half, base)
    pen = ImageDraw.Draw(canvas, "RGBA")
    hue = rng.uniform(0, 360)
    for _ in range(rng.randint(12, 32)):
        radius = min(half) * rng.uniform(0.02, 0.13)
        x, y = rng.uniform(0, half[0]), rng.uniform(0, half[1])
        colour = hsv(hue + rng.gauss(0, 50), rng.uniform(0.1, 0.8), rng.uniform(0.6, 1))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, rng.randint(50, 170)))
    return canvas.filter(ImageFilter.GaussianBlur(min(half) * 0.012)).resize(size, Image.Resampling.BILINEAR)


def stripes(size: Size, rng: Random) -> Image.Image:
    canvas = Image.new("RGB", size, any_colour(rng))
    colours = [any_colour(rng) for _ in range(rng.randint(1, 3))]
    pen = ImageDraw.Draw(canvas)
    step = max(6.0, min(size) * rng.uniform(0.05, 0.2))
    angle = rng.uniform(0, math.pi)
    reach = math.hypot(*size)
    along, across = (math.cos(angle) * reach, math.sin(angle) * reach), (-math.sin(angle), math.cos(angle))
    for index in range(-int(reach / step), int(reach / step) + 1):
        x, y = size[0] / 2 + across[0] * index * step, size[1] / 2 + across[1] * index * step
        ends = (x - along[0], y - along[1], x + along[0], y + along[1])
        pen.line(ends, fill=colours[index % len(colours)], width=round(step * 0.55))
    return canvas


def tiles(size: Size, rng: Random) -> Image.Image:
    one, other = any_colour(rng), any_colour(rng)
    canvas = Image.new("RGB", size, lit(one, -0.4))
    pen = ImageDraw.Draw(canvas)
    step = max(10.0, min(size) * rng.uniform(0.1, 0.25))
    chequered = rng.random() < 0.5
    for row in range(int(size[1] / step) + 1):
        for column in range(int(size[0] / step) + 1):
            colour = other if chequered and (row + column) % 2 else one
            x, y = column * step, row * step
            pen.rectangle((x, y, x + step - 2, y + step - 2), fill=lit(colour, rng.uniform(-0.1, 0.1)))
    return canvas


def planks(size: Size, rng: Random) -> Image.Image:
    wood = hsv(rng.uniform(18, 38), rng.uniform(0.25, 0.7), rng.uniform(0.35, 0.85))
    canvas = Image.new("RGB", size, wood)
    pen = ImageDraw.Draw(canvas)
    step = max(12.0, min(size) * rng.uniform(0.1, 0.25))
    for row in range(int(size[1] / step) + 1):
        tone = lit(wood, rng.uniform(-0.2, 0.15))
        y = row * step
        pen.rectangle((0, y, size[0], y + step - 2), fill=tone)
        for _ in range(5):
            grain = y + rng.uniform(0.1, 0.85) * step
            pen.line(
                (0, grain, size[0], grain + rng.uniform(-0.1, 0.1) * step), fill=lit(tone, -0.14), width=2
            )
        pen.line((0, y + step - 1, size[0], y + step - 1), fill=lit(wood, -0.5), width=2)
    return canvas


BACKDROPS = (gradient, texture, texture, bricks, landscape, landscape, bokeh, stripes, tiles, planks)


def backdrop(size: Size, rng: Random) -> Image.Image:
    """A background of any kind, `size` pixels (width, height)."""
    return rng.choice(BACKDROPS)(size, rng)


def apple(pen: Pen, rng: Random) -> None:
    skin = hsv(rng.choice((0, 20, 50, 355)) + rng.uniform(-8, 8), 0.85, rng.uniform(0.6, 0.9))
    pen.ball(-0.25, 0.15, 0.62, 0.75, lit(skin, -0.1), shine=0.1)
    pen.ball(0.18, 0.15, 0.68, 0.75, skin)
    pen.line(curve([(0, -0.45), (0.03, -0.7), (0.12, -0.9)]), 0.07, (84, 58, 36))
    pen.polygon(curve([(0.08, -0.65), (0.35, -0.88), (0.62, -0.8), (0.35, -0.6)], closed=True), (70, 130, 54))


def leaf(pen: Pen, rng: Random) -> None:
    green = hsv(rng.choice((100, 110, 35, 20)) + rng.uniform(-15, 15), 0.7, rng.uniform(0.4, 0.8))
    half = curve([(0, -0.95), (0.4, -0.5), (0.5, 0), (0.3, 0.5), (0, 0.75)])
    pen.polygon(half + [(-x, y) for x, y in reversed(half)], green)
    pen.line([(0, -0.9), (0, 0.98)], 0.04, lit(green, -0.35))
    for y in (-0.4, -0.1, 0.2, 0.45):
        pen.line([(-0.3, y - 0.15), (0, y), (0.3, y - 0.15)], 0.025, lit(green, -0.3))


def flower(pen: Pen, rng: Random) -> None:
    petal, count = any_colour(rng), rng.choice((5, 6, 8))
    pen.line([(0, 0), (0.1, 1.0)], 0.08, (64, 120, 56))
    for index in range(count):
        turn = 2 * math.pi * index / count
        pen.ball(0.4 * math.cos(turn), -0.3 + 0.4 * math.sin(turn), 0.27, 0.27, petal, shine=0.2, steps=4)
    pen.ball(0, -0.3, 0.24, 0.24, (236, 190, 60), steps=4)


def beach_ball(pen: Pen, rng: Random) -> None:
    one, other = any_colour(rng), any_colour(rng)
    pen.ball(0, 0, 0.95, 0.95, one)
    if rng.random() < 0.6:
        for turn in range(0, 360, 72):
            wedge = [(0.15, -0.2), *ring(0, 0, 0.94, 0.94, turn, turn + 36)]
            pen.polygon(wedge, other)
        pen.ellipse(0.15, -0.2, 0.12, 0.12, WHITE)


def book(pen: Pen, rng: Random) -> None:
    cover = any_colour(rng)
    pen.rectangle(-0.62, -0.9, 0.7, 0.95, lit(cover, -0.45), 0.04)
    pen.rectangle(-0.55, -0.85, 0.68, 0.9, (236, 230, 214))
    pen.rectangle(-0.68, -0.95, 0.6, 0.88, cover, 0.04)
    pen.rectangle(-0.68, -0.95, -0.52, 0.88, lit(cover, -0.25))
    pen.rectangle(-0.3, -0.6, 0.4, -0.3, lit(cover, 0.5))


def key(pen: Pen, rng: Random) -> None:
    metal = rng.choice([(200, 164, 70), (170, 174, 180), (96, 84, 70)])
    pen.line(ring(-0.6, 0, 0.3, 0.3), 0.14, metal)
    pen.line([(-0.3, 0), (0.95, 0)], 0.13, metal)
    for x in (0.6, 0.76, 0.9):
        pen.rectangle(x - 0.05, 0, x + 0.05, rng.uniform(0.2, 0.34), metal)


def tree(pen: Pen, rng: Random) -> None:
    green = hsv(rng.uniform(80, 130), 0.6, rng.uniform(0.3, 0.6))
    pen.rectangle(-0.09, 0.2, 0.09, 1.0, (92, 68, 46))
    if rng.random() < 0.5:
        for y in (0.45, 0.05, -0.35):
            pen.polygon([(0, y - 0.6), (0.4 + y * 0.4, y), (-0.4 - y * 0.4, y)], lit(green, -0.2 * y))
    else:
        for _ in range(9):
            pen.ball(rng.uniform(-0.4, 0.4), rng.uniform(-0.6, 0.15), 0.35, 0.33, green, shine=0.15, steps=4)


def fish(pen: Pen, rng: Random) -> None:
    colour = any_colour(rng)
    pen.polygon([(0.5, 0), (0.98, -0.4), (0.88, 0), (0.98, 0.4)], lit(colour, -0.2))
    pen.ball(-0.1, 0, 0.75, 0.42, colour)
    pen.polygon([(-0.1, -0.35), (0.2, -0.62), (0.35, -0.25)], lit(colour, -0.3))
    pen.ellipse(-0.55, -0.08, 0.1, 0.1, WHITE)
    pen.ellipse(-0.57, -0.08, 0.05, 0.05, BLACK)


def gift(pen: Pen, rng: Random) -> None:
    paper, ribbon = any_colour(rng), any_colour(rng)
    pen.rectangle(-0.75, -0.4, 0.75, 0.9, paper)
    pen.rectangle(-0.82, -0.55, 0.82, -0.25, lit(paper, 0.15))
    pen.rectangle(-0.13, -0.55, 0.13, 0.9, ribbon)
    for side in (-1, 1):
        pen.line(ring(side * 0.25, -0.72, 0.24, 0.15), 0.1, ribbon)


def car(pen: Pen, rng: Random) -> None:
    paint = any_colour(rng)
    pen.polygon([(-0.55, -0.05), (-0.35, -0.45), (0.3, -0.45), (0.58, -0.05)], lit(paint, -0.15))
    pen.polygon([(-0.44, -0.07), (-0.3, -0.37), (-0.03, -0.37), (-0.03, -0.07)], (176, 206, 220))
    pen.polygon([(0.03, -0.07), (0.03, -0.37), (0.26, -0.37), (0.45, -0.07)], (176, 206, 220))
    pen.rectangle(-0.98, -0.08, 0.98, 0.34, paint, 0.14)
    for x in (-0.55, 0.55):
        pen.ellipse(x, 0.34, 0.22, 0.22, BLACK)
        pen.ellipse(x, 0.34, 0.1, 0.1, (168, 170, 172))


THINGS: tuple[Painter, ...] = (apple, leaf, flower, beach_ball, book, key, tree, fish, gift, car)


def scrap(pen: Pen, rng: Random) -> None:
    """A meaningless shape: disc, ring, bar, box, wedge or blob."""
    colour, kind = any_colour(rng), rng.randrange(6)
    if kind == 0:
        pen.ellipse(0, 0, 1, rng.uniform(0.4, 1), colour)
    elif kind == 1:
        pen.line(ring(0, 0, 0.85, 0.85), rng.uniform(0.08, 0.3), colour)
    elif kind == 2:
        pen.line([(-1, 0), (1, rng.uniform(-0.4, 0.4))], rng.uniform(0.08, 0.3), colour)
    elif kind == 3:
        pen.rectangle(-1, -0.6, 1, rng.uniform(0, 0.7), colour, rng.choice((0.0, 0.1)))
    elif kind == 4:
        pen.polygon([(-1, 0.7), (rng.uniform(-0.5, 0.5), -0.9), (1, rng.uniform(0, 0.8))], colour)
    else:
        blob = [(math.cos(t) * rng.uniform(0.5, 1), math.sin(t) * rng.uniform(0.5, 1)) for t in range(6)]
        pen.polygon(curve(blob, closed=True), colour)
