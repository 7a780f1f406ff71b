"""The ILSVRC-2012 tree as torchvision, `ImageFolder`, timm and the devkit's own tools read it.

`train/<wnid>/`, `val/<wnid>/`, meta.bin and the devkit. Test pictures stand in `unlabelled/`: beside a flat folder
with "test" in its name, Hugging Face's `imagefolder` drops the labels of all splits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from string import Template

from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.formats import PictureFiles, Plain
from imagenet_builder.export.matlab import synsets_mat
from imagenet_builder.export.parts import Part
from imagenet_builder.export.torch_archive import torch_archive
from imagenet_builder.export.tree import Tree
from imagenet_builder.records import Split

DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = f"{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt"
UNLABELLED = {Split.TEST: "unlabelled", Split.REPLICATE: "unlabelled-replicate"}


class Ilsvrc(Plain):
    """The tree; see `ReleaseFormat`."""

    def begin(self, release: Release, tree: Tree) -> None:
        """See `ReleaseFormat`."""
        tree.write("meta.bin", torchvision_meta(release))
        for path, content in devkit_files(release).items():
            tree.write(path, content)

    @contextmanager
    def part(self, release: Release, part: Part, tree: Tree) -> Iterator[PictureFiles]:
        """See `ReleaseFormat`."""
        yield PictureFiles(tree, picture_path)


def picture_path(picture: ReleasePicture) -> str:
    """Where a picture stands in the tree."""
    if picture.split.hidden:
        return f"{UNLABELLED[picture.split]}/{picture.file_name}"
    return f"{picture.split}/{picture.wnid}/{picture.file_name}"


def torchvision_meta(release: Release) -> bytes:
    """meta.bin: (wnid → words, wnids of the val pictures in file-name order); with it torchvision checks no archive."""
    words = {one.wnid: one.words for one in release.classes}
    return torch_archive((words, [picture.wnid for picture in release.of_split(Split.VAL)]))


def devkit_files(release: Release) -> Mapping[str, bytes]:
    """The development kit, path → content; paths begin with the kit's own folder."""
    readme = files("imagenet_builder.export").joinpath("readme", "devkit.txt").read_text("utf-8")
    class_of = release.class_of
    ground_truth = "".join(f"{class_of[picture.wnid].ilsvrc_id}\n" for picture in release.of_split(Split.VAL))
    filled = Template(readme).substitute(
        title=release.title,
        classes=len(release.classes),
        ancestors=len(release.nodes) - len(release.classes),
        first_ancestor=len(release.classes) + 1,
        train=sum(one.train for one in release.classes),
        val=sum(one.val for one in release.classes),
        test=sum(one.test for one in release.classes),
        replicate=sum(one.replicate for one in release.classes),
    )
    return {
        f"{DEVKIT}/readme.txt": filled.encode(),
        f"{DEVKIT}/data/meta.mat": synsets_mat(release.nodes),
        GROUND_TRUTH: ground_truth.encode("ascii"),
    }
