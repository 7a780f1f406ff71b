"""Reads a release for training: torchvision's own reader finds the pictures of a tree, its list those of shards, in a
folder or in a bucket; Pillow decodes them.

What a picture looks like in an epoch depends on the seed, the epoch and the picture alone, not on who decodes it or
when: any number of workers and processes sees the same, and so does a run that was killed and went on.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from imagenet_builder.errors import ReleaseError

from .compatibility import load_torchvision
from .distributed import Share
from .files import ReleaseFiles, open_files
from .listing import Piece, has_list, read_list, read_piece, told_apart

if TYPE_CHECKING:
    from torchvision.datasets import ImageFolder

# Pictures are held somewhat larger than they are trained at, so that crops keep their detail.
HELD_SCALE = 1.25
HELD_IN_MEMORY_BYTES = 1 << 30
DECODING_THREADS = 4

Transform = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Picture:
    """A picture of a release: its file and its label, the position of its wnid among the sorted ones.

    Where it has a `piece`, it stands there, and `path` is the name that it has in ILSVRC's tree.
    """

    path: Path
    label: int
    piece: Piece | None = None


@dataclass(frozen=True)
class TrainingRelease:
    """What training needs of a release. `words` names each of `wnids`; `digest` is the SHA-256 of manifest.json."""

    files: ReleaseFiles
    wnids: tuple[str, ...]
    words: tuple[str, ...]
    train: tuple[Picture, ...]
    val: tuple[Picture, ...]
    digest: str | None

    @property
    def name(self) -> str:
        """What people call it: the last part of its folder or address."""
        folder = self.files.folder
        return folder.resolve().name if folder is not None else self.files.name.rpartition("/")[2]

    def source(self, picture: Picture) -> Path | bytes:
        """A picture's file, or its bytes where it has none."""
        return source_of(self.files, picture)


def source_of(files: ReleaseFiles, picture: Picture) -> Path | bytes:
    """A picture's file, or its bytes where it stands in a shard. Raises ReleaseError when they are not there."""
    return picture.path if picture.piece is None else read_piece(files, picture.piece)


@dataclass(frozen=True)
class Unreadable:
    """A picture that cannot be decoded, and why."""

    path: Path
    reason: str


def open_release(release: str | Path) -> TrainingRelease:
    """Read the lists of a release, in a folder or a bucket, or of any folder with train/CLASS/ and val/CLASS/.

    A tree with a meta.bin is read by `torchvision.datasets.ImageNet`, without one by `ImageFolder`; a release without
    a tree, or in a bucket, by its own images.parquet. Raises ReleaseError when it is not a release, or its two splits
    disagree on the classes.
    """
    files = open_files(release)
    if files.folder is not None and ((files.folder / "train").is_dir() or not has_list(files)):
        return _open_tree(files, files.folder)
    listed = read_list(files)
    pictures = {
        split: tuple(Picture(Path(one.path), one.label, one.piece) for one in listed.pictures[split])
        for split in listed.pictures
    }
    if len(listed.wnids) < 2:
        raise ReleaseError(f"{files.name} has one class, {listed.wnids[0]}: there is nothing to tell apart")
    return TrainingRelease(
        files, listed.wnids, listed.words, pictures["train"], pictures["val"], listed.digest
    )


def _open_tree(files: ReleaseFiles, folder: Path) -> TrainingRelease:
    for split in ("train", "val"):
        if not (folder / split).is_dir():
            raise ReleaseError(
                f"{folder} is not a release: no {split}/ in it; give the folder that `imagenet-builder export` wrote"
            )
    train, words = _read_split(folder, "train")
    val, _ = _read_split(folder, "val")
    wnids = tuple(train.class_to_idx) if not hasattr(train, "wnids") else tuple(train.wnids)
    val_wnids = tuple(val.class_to_idx) if not hasattr(val, "wnids") else tuple(val.wnids)
    if wnids != val_wnids:
        odd = sorted(set(wnids) ^ set(val_wnids))
        raise ReleaseError(
            f"{folder}: train/ and val/ do not hold the same classes ({', '.join(odd[:3])} in one only)"
        )
    if len(wnids) < 2:
        raise ReleaseError(f"{folder} has one class, {wnids[0]}: there is nothing to tell apart")
    manifest = folder / "manifest.json"
    return TrainingRelease(
        files=files,
        wnids=wnids,
        words=told_apart(wnids, words),
        train=tuple(Picture(Path(path), label) for path, label in train.samples),
        val=tuple(Picture(Path(path), label) for path, label in val.samples),
        digest=hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else None,
    )


def _read_split(folder: Path, split: str) -> tuple[ImageFolder, tuple[str, ...]]:
    load_torchvision()
    from torchvision.datasets import ImageFolder, ImageNet

    try:
        if (folder / "meta.bin").is_file():
            reader = ImageNet(folder, split)
            return reader, tuple(", ".join(words) for words in reader.classes)
        plain = ImageFolder(folder / split)
        return plain, tuple(plain.classes)
    except KeyError as error:
        raise ReleaseError(f"{folder}/meta.bin does not name the class {error} of {split}/") from error
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).split("\n", 1)[0]
        raise ReleaseError(f"{folder} cannot be read as a release ({split}: {reason})") from error


def decode(source: Path | bytes, side: int, name: str | None = None) -> torch.Tensor:
    """The picture as uint8 (3, height, width), its shorter side at most `side` pixels.

    Raises ReleaseError when it cannot be decoded, naming `name`, or else its file.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            opened.draft(
                "RGB", (side, side)
            )  # JPEG decodes to a half or a quarter at a fraction of the cost.
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ReleaseError(
            f"{name or source!s} cannot be decoded ({error}): the release is damaged; "
            "run `imagenet-builder verify-release`"
        ) from error
    shrink = side / min(picture.size)
    if shrink < 1:
        size = (max(1, round(picture.width * shrink)), max(1, round(picture.height * shrink)))
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).contiguous()


class Pictures:
    """A map-style data set: a split's pictures, varied by `transform`.

    It is indexed by draws: `epoch * len(self) + index`. A small split is decoded once and held in memory, and then
    ReleaseError is raised here for a picture that cannot be decoded; in a large split it comes as `Unreadable`.
    """

    def __init__(
        self, files: ReleaseFiles, pictures: Sequence[Picture], size: int, transform: Transform, seed: int
    ) -> None:
        self.files, self.pictures, self.transform, self.seed = files, pictures, transform, seed
        self.side = round(size * HELD_SCALE)
        self.held: list[torch.Tensor] | None = None
        if len(pictures) * 4 * self.side**2 <= HELD_IN_MEMORY_BYTES:
            with ThreadPoolExecutor(DECODING_THREADS) as threads:
                self.held = list(threads.map(self._decoded, pictures))

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def reads_bucket(self) -> bool:
        """Whether pictures are fetched over the network as they are drawn."""
        return self.held is None and self.files.folder is None

    def __getitem__(self, draw: int) -> tuple[torch.Tensor, int] | Unreadable:
        epoch, index = divmod(draw, len(self.pictures))
        picture = self.pictures[index]
        try:
            pixels = self._decoded(picture) if self.held is None else self.held[index]
        except ReleaseError as error:
            # An exception would reach the loop through a worker's traceback; a value comes as it is.
            return Unreadable(picture.path, str(error))
        with own_generator(mixed_seed(self.seed, epoch, index)):
            return self.transform(pixels), picture.label

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "transform": pickle.dumps(self.transform)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # In a new process torchvision's classes are found only after this.
        load_torchvision()
        self.__dict__.update(state, transform=pickle.loads(state["transform"]))

    def _decoded(self, picture: Picture) -> torch.Tensor:
        return decode(source_of(self.files, picture), self.side, str(picture.path))


def mixed_seed(*parts: int) -> int:
    """A 63-bit seed from several numbers; neighbouring numbers give unrelated seeds."""
    digest = hashlib.blake2b(" ".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@contextmanager
def own_generator(seed: int) -> Iterator[None]:
    """Seed torch's global CPU generator for the context and put it back afterwards."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)


class EpochSampler:
    """Draws of the epoch `epoch`: whole batches of a seeded shuffle, of which each process takes an equal part.

    All processes together draw exactly what a single one would. The pictures that do not fill a last batch wait for
    the next epoch's shuffle. `batch_size` counts all processes and is a multiple of their number.
    """

    def __init__(self, pictures: int, batch_size: int, seed: int, share: Share) -> None:
        self.pictures, self.batch_size, self.seed, self.share = pictures, batch_size, seed, share
        self.epoch = 0

    def __len__(self) -> int:
        return self.pictures // self.batch_size * self.batch_size // self.share.world

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, self.epoch))
        order = torch.randperm(self.pictures, generator=generator).tolist()
        first = self.epoch * self.pictures
        for begin in range(0, self.pictures - self.batch_size + 1, self.batch_size):
            batch = order[begin : begin + self.batch_size]
            yield from (first + index for index in batch[self.share.rank :: self.share.world])


Batch = tuple[torch.Tensor, torch.Tensor] | Unreadable


def collate(drawn: list[tuple[torch.Tensor, int] | Unreadable]) -> Batch:
    """Pictures (N, 3, size, size) as uint8 and labels (N,); or the first picture that could not be decoded."""
    pixels, labels = [], []
    for one in drawn:
        if isinstance(one, Unreadable):
            return one
        pixels.append(one[0])
        labels.append(one[1])
    return torch.stack(pixels), torch.tensor(labels)


def make_loader(
    pictures: Pictures, sampler: EpochSampler | Sequence[int], batch_size: int, workers: int, pin: bool
) -> DataLoader[Batch]:
    """A loader of batches that `collate` makes, `batch_size` of them counted in this process."""
    return DataLoader(
        pictures,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        persistent_workers=workers > 0,
        # A client of a bucket does not survive that a process is forked.
        multiprocessing_context="spawn" if workers and pictures.reads_bucket else None,
        # Worker start-up draws from this generator, so it leaves the global one alone.
        generator=torch.Generator().manual_seed(0),
    )
