"""Exports a release in every format, and beside it the store's truth; run with the program's own Python.

The readers' environment holds nothing of the program: what they load is a folder, as for anybody else.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import sqlalchemy as sa

from hits import database
from imagenet_builder.export.choose import Sizes
from imagenet_builder.export.formats import FORMATS
from imagenet_builder.export.release import export
from imagenet_builder.export.request import ExportRequest
from imagenet_builder.project import Project
from imagenet_builder.store import tables
from tests.export_parts import TENCH, UMBRELLA, project_with, some_pictures
from tests.real_parts import wordnet_folder

# "crane" is a bird and a machine: their names are the same, and readers refuse names that are not unique.
BIRD, MACHINE = "n02012849", "n03126707"
COUNTS = {TENCH: 11, BIRD: 8, MACHINE: 9, UMBRELLA: 13}
SIZES = Sizes(val=2, test=2, min_train=3, max_train=20)
TOGETHER = (*FORMATS, "croissant")
# What a folder is called → the formats in it: what the dataset card points to differs.
RELEASES = {
    "everything": TOGETHER,
    "tree": ("ilsvrc", "croissant"),
    "parquet": ("parquet", "croissant"),
    "webdataset": ("webdataset",),
}


def truth_of(project: Project) -> dict[str, dict[str, object]]:
    """File name → class, split, label and the SHA-256 of the bytes that readers should give, from the store."""
    joined = tables.release_images
    with database.reading(project.engine) as connection:
        rows = connection.execute(sa.select(joined).where(joined.c.release_id == 1)).all()
    wnids = sorted(COUNTS)
    return {
        row.file_name: {
            "wnid": row.wnid,
            "split": str(row.split),
            "label": -1 if row.split == "test" else wnids.index(row.wnid),
        }
        for row in rows
    }


def main(folder: Path) -> None:
    """Write every release of RELEASES and truth.json into `folder`."""
    found = wordnet_folder()
    if found is None:
        sys.exit("WordNet 3.0 is not here: run `make wordnet`")
    project = project_with(folder / "project", found, some_pictures(COUNTS))
    for name, formats in RELEASES.items():
        request = ExportRequest(SIZES, classes=len(COUNTS), formats=formats)
        export(project, request, folder / name)
    truth = truth_of(project)
    for path in (folder / "tree").rglob("*.JPEG"):
        truth[path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "truth.json").write_text(json.dumps(truth, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
