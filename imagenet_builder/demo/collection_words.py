"""What people write about the files of the rehearsal's collection: names, places, licences, titles."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

PLACES = (
    "Ghent", "Lisbon", "Kyoto", "Leeds", "Tartu", "Oaxaca", "Turku", "Graz", "Nantes", "Kraków", "Bergen", "Porto",
    "Valdivia", "Matera", "Utrecht", "Aarhus", "Brno", "Kochi", "Hobart", "Galway", "Sibiu", "Fukuoka", "Girona",
)  # fmt: skip
ARTISTS = (
    "Maren Oldenkamp", "T. Bellweather", "Ikaro Sanz", "Fotowerk Lindau", "Oona Räsänen", "J. P. Quillfeather",
    "Beatriz Moçambo", "Nils-Ole Tveit", "Rukmini Dass", "Kestrel77", "Atelier Vonn", "Pavla Hrušková",
)  # fmt: skip
# Most people give a few pictures; a few give many.
PROLIFIC_SHARE = 0.2
GIVEN_NAMES = (
    "Aino", "Bram", "Chiara", "Dilnoza", "Emeka", "Freya", "Goran", "Hanneke", "Ilse", "Jarmila", "Kwame", "Leonor",
    "Mirek", "Noor", "Orla", "Piet", "Quique", "Ruta", "Sanjay", "Tove", "Umut", "Vesna", "Wen", "Yusra", "Zoltán",
)  # fmt: skip
FAMILY_NAMES = (
    "Abelung", "Brandvold", "Castanho", "Dvořan", "Eskelin", "Fairwater", "Grünspan", "Hollerich", "Iversund",
    "Jelavić", "Kortrijker", "Lindqvest", "Montserín", "Nakagusuku", "Oyelami", "Pettersund",
)  # fmt: skip
RIGHT_TITLES = (
    "{subject}", "{subject} in {place}", "{subject}, {place} {year}", "{subject} close-up", "A {subject} ({place})",
    "{place} {year} {subject}", "{subject} on display", "Old {subject} {place}",
)  # fmt: skip
WRONG_TITLES = (
    "{subject} shop, {place}", "Under the {subject}, {place}", "{subject} festival {place} {year}",
    "Museum of the {subject}, {place}", "{subject} street party {year}", "{place} {subject} factory",
    "Behind the {subject}", "{subject} still life {year}",
)  # fmt: skip
SETTINGS = (
    "taken on a walk through {place}", "from my own collection in {place}", "seen at a market in {place}",
    "photographed in a studio in {place}", "found in a drawer in {place}", "made for a competition in {place}",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as the wiki's metadata names it; `code` is empty where the page names none."""

    code: str
    short: str
    url: str
    terms: str
    free: bool = True


def _creative_commons(kind: str, version: str, words: str) -> Licence:
    return Licence(
        f"cc-{kind}-{version}",
        f"CC {kind.upper()} {version}",
        f"https://creativecommons.org/licenses/{kind}/{version}",
        f"Creative Commons {words} {version}",
    )


_ZERO_DEED = "http://creativecommons.org/publicdomain/zero/1.0/deed.en"
LICENCES = (
    (30, _creative_commons("by-sa", "4.0", "Attribution-Share Alike")),
    (20, _creative_commons("by", "4.0", "Attribution")),
    (18, _creative_commons("by-sa", "3.0", "Attribution-Share Alike")),
    (14, Licence("cc0", "CC0", _ZERO_DEED, "Creative Commons Zero, Public Domain Dedication")),
    (12, Licence("pd", "Public domain", "", "Public domain")),
    (4, _creative_commons("by", "2.0", "Attribution")),
    (1, Licence("", "", "", "")),
    (1, Licence("", "Fair use", "", "Fair use of copyrighted material", free=False)),
)


def any_licence(rng: Random) -> Licence:
    """A licence, as often as the wiki has it."""
    return rng.choices([licence for _, licence in LICENCES], [weight for weight, _ in LICENCES])[0]


def any_artist(rng: Random) -> str:
    """Who made a file."""
    if rng.random() < PROLIFIC_SHARE:
        return rng.choice(ARTISTS)
    return f"{rng.choice(GIVEN_NAMES)} {rng.choice(FAMILY_NAMES)}"


def any_title(rng: Random, subject: str, right: bool) -> str:
    """A file's name without its number and ending, naming the subject."""
    template = rng.choice(RIGHT_TITLES if right else WRONG_TITLES)
    written = template.format(subject=subject, place=rng.choice(PLACES), year=rng.randint(2004, 2025))
    return written[0].upper() + written[1:]


def any_setting(rng: Random) -> str:
    """A clause saying where the picture is from."""
    return rng.choice(SETTINGS).format(place=rng.choice(PLACES))


def plural(words: str) -> str:
    """An English plural that is good enough for a category's name."""
    if words.endswith(("glasses", "shades")):
        return words
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith(("s", "x", "ch", "sh")) else "s")
