"""A small dump in the layout and format of iNaturalist's open data."""

from __future__ import annotations

import gzip
import uuid
from pathlib import Path

FAMILY, GENUS, SPECIES, VARIETY, OTHER = 47347, 47348, 48715, 48716, 99999
TAXA = [
    # taxon_id, ancestry, rank_level, rank, name, active
    (FAMILY, "48460/47170", 30, "family", "Amanitaceae", "true"),
    (GENUS, f"48460/47170/{FAMILY}", 20, "genus", "Amanita", "true"),
    (SPECIES, f"48460/47170/{FAMILY}/{GENUS}", 10, "species", "Amanita muscaria", "true"),
    (
        VARIETY,
        f"48460/47170/{FAMILY}/{GENUS}/{SPECIES}",
        5,
        "variety",
        "Amanita muscaria flavivolvata",
        "true",
    ),
    (OTHER, "48460/1", 10, "species", "Canis familiaris", "true"),
    (1234567, f"48460/{SPECIES}0", 10, "species", "Amanita phalloides", "true"),
    # Names that have passed on, and one that two living genera bear.
    (5, "48460", 10, "species", "Amanita muscaria", "false"),
    (6, "48460/47126", 20, "genus", "Oenanthe", "true"),
    (7, "48460/1", 20, "genus", "Oenanthe", "true"),
]
LICENCES = ("CC-BY", "CC-BY-NC", "CC0", "CC-BY-SA")
OBSERVATIONS = [
    # taxon, grade
    (SPECIES, "needs_id"),
    (SPECIES, "research"),
    (VARIETY, "research"),
    (GENUS, "casual"),
    (OTHER, "research"),
    (FAMILY, "research"),
    *[(SPECIES, "research")] * 4,
]


def observation_uuid(number: int) -> str:
    return str(uuid.UUID(int=(number * 0x9E3779B97F4A7C15_F39CC0605CEDC835) % 2**128))


def tables() -> dict[str, list[tuple[object, ...]]]:
    """The four tables with their headers; every observation has two photos, the second of them listed first."""
    photos: list[tuple[object, ...]] = []
    for number in range(len(OBSERVATIONS)):
        for place in (1, 0):
            photo = 100 + 2 * number + place
            licence = LICENCES[number % len(LICENCES)]
            sides = ("", "") if number == 2 else (2048, 1536)
            of = (observation_uuid(number), 1 + number % 3, "jpg" if number % 2 else "jpeg", licence)
            photos.append((str(uuid.uuid5(uuid.NAMESPACE_URL, str(photo))), photo, *of, *sides, place))
    return {
        "taxa": [("taxon_id", "ancestry", "rank_level", "rank", "name", "active"), *TAXA],
        "observations": [
            (
                *(
                    "observation_uuid",
                    "observer_id",
                    "latitude",
                    "longitude",
                    "positional_accuracy",
                    "taxon_id",
                ),
                *("quality_grade", "observed_on", "anomaly_score"),
            ),
            *(
                (observation_uuid(number), 1 + number % 3, 1.5, -2.5, "", taxon, grade, "2024-05-04", "")
                for number, (taxon, grade) in enumerate(OBSERVATIONS)
            ),
        ],
        "photos": [
            (
                *("photo_uuid", "photo_id", "observation_uuid", "observer_id", "extension", "license"),
                *("width", "height", "position"),
            ),
            *photos,
        ],
        "observers": [
            ("observer_id", "login", "name"),
            (1, "ann", 'Ann "A" Example'),
            (2, "bo", ""),
            (77, "nobody-else", "Nobody"),
        ],
    }


def write_dump(
    folder: Path, *, suffix: str = ".csv.gz", rows: dict[str, list[tuple[object, ...]]] | None = None
) -> None:
    """Write the dump's files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, lines in (rows or tables()).items():
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines).encode()
        (folder / f"{table}{suffix}").write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)
