"""Releases as training reads them: classes, pictures, draws."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from imagenet_builder.errors import ReleaseError  # noqa: E402
from imagenet_builder.train import dataset  # noqa: E402
from imagenet_builder.train.dataset import (  # noqa: E402
    EpochSampler,
    Pictures,
    Unreadable,
    collate,
    decode,
    make_loader,
    open_release,
)
from imagenet_builder.train.distributed import Share  # noqa: E402
from imagenet_builder.train.listing import told_apart  # noqa: E402
from imagenet_builder.train.recipe import TrainSettings, recipe_for  # noqa: E402
from imagenet_builder.train.transforms import training_transform, validation_transform  # noqa: E402

from ..drawn_release import build_release  # noqa: E402

SIZE = 32


@pytest.fixture(scope="module")
def release_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_release(tmp_path_factory.mktemp("drawn") / "release", train=5, val=2)


def pictures_of(folder: Path) -> Pictures:
    recipe = recipe_for(TrainSettings(arch="small", recipe="modern", size=SIZE), 20)
    release = open_release(folder)
    return Pictures(release.files, release.train, SIZE, training_transform(recipe, SIZE), seed=3)


def test_labels_are_positions_among_the_sorted_wnids(release_folder: Path) -> None:
    release = open_release(release_folder)
    assert release.wnids == ("n00000011", "n00000022", "n00000033", "n00000044")
    assert release.words[0] == "disc, red disc"
    assert len(release.train) == 20
    assert all(release.wnids[one.label] == one.path.parent.name for one in (*release.train, *release.val))


def test_classes_with_the_same_words_are_told_apart(tmp_path: Path) -> None:
    folder = build_release(tmp_path / "release", classes=3, train=1, val=1)
    words, val = torch.load(folder / "meta.bin")
    torch.save((words | {"n00000022": words["n00000011"]}, val), folder / "meta.bin")
    assert open_release(folder).words == (
        "disc, red disc (n00000011)",
        "disc, red disc (n00000022)",
        ", ".join(words["n00000033"]),
    )
    assert told_apart("abc", ("crane", "fish", "crane")) == ("crane (a)", "fish", "crane (c)")


def test_the_digest_is_that_of_the_manifest(tmp_path: Path) -> None:
    folder = build_release(tmp_path / "release", classes=2, train=1, val=1)
    assert open_release(folder).digest is None
    (folder / "manifest.json").write_text("{}")
    assert open_release(folder).digest == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_plain_folder_of_classes_needs_no_meta_file(tmp_path: Path) -> None:
    folder = build_release(tmp_path / "release", classes=2, train=1, val=1)
    (folder / "meta.bin").unlink()
    assert open_release(folder).words == ("n00000011", "n00000022")


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"nowhere is not a release: no train/ in it; give the folder"):
        open_release(tmp_path / "nowhere")
    (tmp_path / "train").mkdir()
    with pytest.raises(ReleaseError, match="no val/ in it"):
        open_release(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_a_damaged_meta_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    folder = build_release(tmp_path / "release", classes=2, train=1, val=1)
    (folder / "meta.bin").write_bytes(content)
    with pytest.raises(ReleaseError, match="cannot be read as a release") as caught:
        open_release(folder)
    assert "\n" not in str(caught.value)


def test_splits_of_different_classes_are_refused_for_their_labels_would_shift(tmp_path: Path) -> None:
    folder = build_release(tmp_path / "release", classes=3, train=1, val=1)
    gone = folder / "val" / "n00000022"
    for file in gone.iterdir():
        file.unlink()
    gone.rmdir()
    with pytest.raises(ReleaseError, match="same classes \\(n00000022 in one only"):
        open_release(folder)


def test_an_empty_class_is_refused_by_name(tmp_path: Path) -> None:
    folder = build_release(tmp_path / "release", classes=2, train=1, val=1)
    (folder / "train" / "n00000022" / "n00000022_1.JPEG").unlink()
    with pytest.raises(ReleaseError, match="n00000022"):
        open_release(folder)


def test_one_class_is_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="nothing to tell apart"):
        open_release(build_release(tmp_path / "release", classes=1, train=1, val=1))


def test_decoding_shrinks_to_the_side_and_never_enlarges(tmp_path: Path) -> None:
    Image.new("RGB", (640, 320), (250, 10, 20)).save(tmp_path / "large.jpg", quality=95)
    Image.new("L", (20, 30)).save(tmp_path / "small.png")
    large = decode(tmp_path / "large.jpg", 40)
    assert large.shape == (3, 40, 80)
    assert large.dtype == torch.uint8
    assert large.float().mean(dim=(1, 2)).tolist() == pytest.approx([250, 10, 20], abs=4)
    assert decode(tmp_path / "small.png", 40).shape == (3, 30, 20)


@pytest.mark.parametrize("held", [True, False])
def test_a_damaged_picture_is_named_and_never_skipped(
    tmp_path: Path, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_release(tmp_path / "release", classes=2, train=3, val=1)
    damaged = folder / "train" / "n00000022" / "n00000022_2.JPEG"
    damaged.write_bytes(damaged.read_bytes()[:300])
    if held:
        with pytest.raises(ReleaseError, match=r"n00000022_2.JPEG cannot be decoded .*verify-release"):
            pictures_of(folder)
        return
    monkeypatch.setattr(dataset, "HELD_IN_MEMORY_BYTES", 0)
    batch = collate([pictures_of(folder)[index] for index in range(6)])
    assert isinstance(batch, Unreadable)
    assert batch.path == damaged
    assert "verify-release" in batch.reason


def test_pictures_look_the_same_held_in_memory_or_not(
    release_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = pictures_of(release_folder)
    monkeypatch.setattr(dataset, "HELD_IN_MEMORY_BYTES", 0)
    read = pictures_of(release_folder)
    assert held.held is not None
    assert read.held is None
    for draw in (0, 7, 33):
        one, other = held[draw], read[draw]
        assert not isinstance(one, Unreadable)
        assert not isinstance(other, Unreadable)
        assert torch.equal(one[0], other[0])
        assert one[1] == other[1]


def test_an_epoch_varies_a_picture_and_the_same_epoch_does_not(release_folder: Path) -> None:
    pictures = pictures_of(release_folder)
    first, again, later = (pictures[draw] for draw in (4, 4, 24))
    assert not isinstance(first, Unreadable)
    assert not isinstance(again, Unreadable)
    assert not isinstance(later, Unreadable)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], later[0])
    assert first[1] == later[1]


def test_drawing_leaves_the_global_generator_alone(release_folder: Path) -> None:
    pictures = pictures_of(release_folder)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    pictures[0]
    assert torch.equal(torch.rand(3), expected)


def test_workers_change_nothing(release_folder: Path) -> None:
    pictures = pictures_of(release_folder)
    found = []
    for workers in (0, 2):
        sampler = EpochSampler(len(pictures), 6, 0, Share())
        sampler.epoch = 2
        found.append(list(make_loader(pictures, sampler, 6, workers, pin=False)))
    assert len(found[0]) == len(found[1]) == 3
    for alone, helped in zip(*found, strict=True):
        assert not isinstance(alone, Unreadable)
        assert not isinstance(helped, Unreadable)
        assert torch.equal(alone[0], helped[0])
        assert torch.equal(alone[1], helped[1])


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_together_draw_what_one_would(world: int) -> None:
    whole = EpochSampler(50, 12, 7, Share())
    parts = [EpochSampler(50, 12, 7, Share(rank, world)) for rank in range(world)]
    for epoch in (0, 3):
        for sampler in (whole, *parts):
            sampler.epoch = epoch
        drawn = [list(part) for part in parts]
        assert {len(part) for part in drawn} == {48 // world} == {len(part) for part in parts}
        for begin in range(0, 48, 12):
            own = [part[begin // world : (begin + 12) // world] for part in drawn]
            assert sorted(draw for part in own for draw in part) == sorted(list(whole)[begin : begin + 12])
        assert len(set(whole)) == 48
        assert all(epoch * 50 <= draw < (epoch + 1) * 50 for draw in whole)


def test_epochs_shuffle_anew() -> None:
    sampler = EpochSampler(40, 8, 0, Share())
    first = [draw % 40 for draw in sampler]
    sampler.epoch = 1
    assert [draw % 40 for draw in sampler] != first


def test_validation_cuts_the_centre_whatever_the_shape() -> None:
    for height, width in ((40, 90), (200, 50), (10, 12)):
        cut = validation_transform(SIZE)(torch.zeros(3, height, width, dtype=torch.uint8))
        assert cut.shape == (3, SIZE, SIZE)
        assert cut.dtype == torch.uint8
