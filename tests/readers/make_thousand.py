"""The archives of a release of ILSVRC-2012's thousand classes, val at its full size; run with the program's own Python.

Every picture is a few grey pixels: what is read back is which label its name gets. Beside the archives lies
`truth.json`, file name → wnid of train and val.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from imagenet_builder.export.description import SPLITS, Release, ReleaseClass
from imagenet_builder.export.hierarchy import class_ids, trimmed_hierarchy
from imagenet_builder.export.naming import named_pictures
from imagenet_builder.export.split import Division
from imagenet_builder.records import Split
from tests.export_parts import write_format
from tests.real_parts import wordnet_folder
from wordnet_synsets.graph import open_graph
from wordnet_synsets.select import list_wnids

TRAIN, VAL, TEST = 1, 50, 1


def thousand(wordnet: Path) -> Release:
    """A release with TRAIN, VAL and TEST pictures of each class, in the order that an export gives them."""
    graph, wnids = open_graph(wordnet), sorted(list_wnids("ilsvrc2012"))
    splits = np.array(
        [SPLITS.index(Split.TRAIN)] + [SPLITS.index(Split.VAL)] * VAL + [SPLITS.index(Split.TEST)]
    )
    each = len(splits)
    shas = sorted(hashlib.sha256(str(number).encode()).hexdigest().encode() for number in range(1000 * each))
    labels = np.arange(1000, dtype=np.int32).repeat(each)
    division = Division(np.arange(len(shas)), labels, np.tile(splits, 1000).astype(np.uint8), 0, 0, 0, 0)
    pictures, _ = named_pictures(wnids, np.array(shas), division, b"a key")
    ids = class_ids(wnids)
    classes = tuple(
        ReleaseClass(
            wnid, index, ids[wnid], graph[wnid].name, graph[wnid].words, graph[wnid].gloss, TRAIN, VAL, TEST
        )
        for index, wnid in enumerate(wnids)
    )
    return Release("thousand", classes, trimmed_hierarchy(graph, ids, dict.fromkeys(wnids, TRAIN)), pictures)


def main(folder: Path) -> None:
    """Write `archives/` and truth.json into `folder`."""
    found = wordnet_folder()
    if found is None:
        sys.exit("WordNet 3.0 is not here: run `make wordnet`")
    release = thousand(found)
    written = io.BytesIO()
    Image.new("L", (8, 8), 128).convert("RGB").save(written, "JPEG")
    contents = {one.file_name: written.getvalue() for one in release.pictures}
    write_format("ilsvrc-archives", release, contents, folder / "release")
    truth = {one.file_name: one.wnid for one in release.pictures if not one.split.hidden}
    (folder / "truth.json").write_text(json.dumps(truth))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
