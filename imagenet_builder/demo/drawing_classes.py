"""The ILSVRC-2012 synsets that can be drawn, with the words people use for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from imagenet_builder.demo import drawing_belongings, drawing_food, drawing_household, drawing_outdoors
from imagenet_builder.demo.drawing_pen import Painter


@dataclass(frozen=True, slots=True)
class DrawnClass:
    """A synset that can be drawn: its WordNet lemmas, its parents' words, its names in Spanish, French and
    Italian, the painter, how far it turns (degrees either way), and how much larger a slim one is drawn."""

    wnid: str
    lemmas: tuple[str, ...]
    parents: tuple[str, ...]
    translations: tuple[str, str, str]
    painter: Painter
    turns: float = 18.0
    growth: float = 1.0

    @property
    def name(self) -> str:
        """The first lemma, as people write it."""
        return self.lemmas[0]


_DRAWN = (
    DrawnClass(
        "n04507155",
        ("umbrella",),
        ("canopy",),
        ("paraguas", "parapluie", "ombrello"),
        drawing_outdoors.umbrella,
        30,
    ),
    DrawnClass(
        "n07734744", ("mushroom",), ("vegetable",), ("seta", "champignon", "fungo"), drawing_food.mushroom, 16
    ),
    DrawnClass(
        "n06874185",
        ("traffic light", "traffic signal", "stoplight"),
        ("light", "signal"),
        ("semáforo", "feu de circulation", "semaforo"),
        drawing_outdoors.traffic_light,
        12,
        1.1,
    ),
    DrawnClass(
        "n04548280",
        ("wall clock",),
        ("clock",),
        ("reloj de pared", "horloge murale", "orologio da parete"),
        drawing_household.wall_clock,
        10,
    ),
    DrawnClass(
        "n06794110",
        ("street sign",),
        ("sign",),
        ("letrero", "plaque de rue", "cartello stradale"),
        drawing_outdoors.street_sign,
        8,
    ),
    DrawnClass(
        "n03291819",
        ("envelope",),
        ("container",),
        ("sobre", "enveloppe", "busta"),
        drawing_belongings.envelope,
        45,
    ),
    DrawnClass(
        "n02948072",
        ("candle", "taper", "wax light"),
        ("lamp",),
        ("vela", "bougie", "candela"),
        drawing_household.candle,
        6,
        1.15,
    ),
    DrawnClass(
        "n04254680",
        ("soccer ball",),
        ("ball",),
        ("balón de fútbol", "ballon de football", "pallone"),
        drawing_outdoors.soccer_ball,
        180,
    ),
    DrawnClass(
        "n07753592", ("banana",), ("edible fruit",), ("plátano", "banane", "banana"), drawing_food.banana, 70
    ),
    DrawnClass(
        "n07745940", ("strawberry",), ("berry",), ("fresa", "fraise", "fragola"), drawing_food.strawberry, 50
    ),
    DrawnClass(
        "n03544143",
        ("hourglass",),
        ("sandglass",),
        ("reloj de arena", "sablier", "clessidra"),
        drawing_household.hourglass,
        14,
    ),
    DrawnClass(
        "n04356056",
        ("sunglasses", "dark glasses", "shades"),
        ("spectacles", "glasses"),
        ("gafas de sol", "lunettes de soleil", "occhiali da sole"),
        drawing_belongings.sunglasses,
        25,
    ),
    DrawnClass(
        "n03874599",
        ("padlock",),
        ("lock",),
        ("candado", "cadenas", "lucchetto"),
        drawing_belongings.padlock,
        35,
    ),
    DrawnClass(
        "n04591713",
        ("wine bottle",),
        ("bottle",),
        ("botella de vino", "bouteille de vin", "bottiglia"),
        drawing_food.wine_bottle,
        30,
        1.25,
    ),
    DrawnClass(
        "n02782093",
        ("balloon",),
        ("lighter-than-air craft",),
        ("globo", "montgolfière", "mongolfiera"),
        drawing_outdoors.balloon,
        14,
    ),
    DrawnClass(
        "n03063599",
        ("coffee mug",),
        ("mug",),
        ("taza de café", "tasse à café", "tazza"),
        drawing_food.coffee_mug,
        14,
    ),
    DrawnClass(
        "n07753275",
        ("pineapple", "ananas"),
        ("edible fruit",),
        ("piña", "ananas", "ananas"),
        drawing_food.pineapple,
        45,
    ),
    DrawnClass(
        "n03196217",
        ("digital clock",),
        ("clock",),
        ("reloj digital", "horloge numérique", "orologio digitale"),
        drawing_household.digital_clock,
        10,
    ),
)

CLASSES: Mapping[str, DrawnClass] = MappingProxyType({drawn.wnid: drawn for drawn in _DRAWN})
