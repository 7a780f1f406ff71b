"""The layout of Kaggle's "ImageNet Object Localization Challenge", in `kaggle/`, without boxes.

The LOC_*.csv name classes alone: a PredictionString begins with the wnid, as programs that classify expect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.formats import PictureFiles, Plain
from imagenet_builder.export.parts import Part
from imagenet_builder.export.tree import Tree
from imagenet_builder.records import Split

FOLDER = "kaggle"
PICTURES = f"{FOLDER}/ILSVRC/Data/CLS-LOC"
IMAGE_SETS = f"{FOLDER}/ILSVRC/ImageSets/CLS-LOC"
SET_NAMES = {Split.TRAIN: "train_cls", Split.VAL: "val", Split.TEST: "test", Split.REPLICATE: "replicate"}
SUBMISSIONS = {
    Split.TEST: "LOC_sample_submission.csv",
    Split.REPLICATE: "LOC_sample_submission_replicate.csv",
}


class Kaggle(Plain):
    """The tree; see `ReleaseFormat`."""

    def begin(self, release: Release, tree: Tree) -> None:
        """See `ReleaseFormat`."""
        mapping = (f"{one.wnid} {', '.join(one.words)}" for one in release.classes)
        tree.write(f"{FOLDER}/LOC_synset_mapping.txt", _lines(mapping))
        present = [split for split in Split if split is not Split.REPLICATE or release.of_split(split)]
        for split in present:
            entries = (
                f"{_stem(picture)} {number}"
                for number, picture in enumerate(release.of_split(split), start=1)
            )
            tree.write(f"{IMAGE_SETS}/{SET_NAMES[split]}.txt", _lines(entries))
        for split in (Split.TRAIN, Split.VAL):
            rows = (f"{picture.name},{picture.wnid}" for picture in release.of_split(split))
            tree.write(f"{FOLDER}/LOC_{split}_solution.csv", _lines(["ImageId,PredictionString", *rows]))
        # The same guess for every picture: it shows what to hand in and tells nothing.
        for split in present:
            if split.hidden:
                guesses = (f"{picture.name},{release.classes[0].wnid}" for picture in release.of_split(split))
                tree.write(f"{FOLDER}/{SUBMISSIONS[split]}", _lines(["ImageId,PredictionString", *guesses]))

    @contextmanager
    def part(self, release: Release, part: Part, tree: Tree) -> Iterator[PictureFiles]:
        """See `ReleaseFormat`."""
        yield PictureFiles(tree, _path)


def _path(picture: ReleasePicture) -> str:
    return f"{PICTURES}/{picture.split}/{_stem(picture)}.JPEG"


def _stem(picture: ReleasePicture) -> str:
    """A picture's path below its split, without the ending; only train has a folder for each class."""
    return f"{picture.wnid}/{picture.name}" if picture.split is Split.TRAIN else picture.name


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
