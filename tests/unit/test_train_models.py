"""Models of the right shape, and weights that fit or are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from imagenet_builder.errors import TrainingError  # noqa: E402
from imagenet_builder.train.models import build_model, finetuned_model, head_of, is_fine  # noqa: E402
from imagenet_builder.train.recipe import ARCHITECTURES  # noqa: E402


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("size", [32, 64, 128])
def test_every_architecture_scores_every_class_at_every_size(arch: str, size: int) -> None:
    with torch.inference_mode():
        model = build_model(arch, 7, fine=is_fine(size)).eval()
        assert model(torch.zeros(1, 3, size, size)).shape == (1, 7)
    assert model.state_dict()[f"{head_of(arch)}.weight"].shape[0] == 7


def test_only_small_pictures_get_the_finer_stem() -> None:
    assert build_model("resnet18", 2, fine=is_fine(64)).conv1.kernel_size == (3, 3)
    assert build_model("resnet18", 2, fine=is_fine(224)).conv1.kernel_size == (7, 7)


def test_an_unknown_architecture_is_refused_with_the_choices() -> None:
    with pytest.raises(TrainingError, match=r"no architecture 'vgg16': choose one of alexnet, resnet18"):
        build_model("vgg16", 2, fine=False)


def test_weights_of_other_classes_lose_only_their_last_layer(tmp_path: Path) -> None:
    made = build_model("small", 9, fine=True)
    torch.save(made.state_dict(), tmp_path / "weights.pt")
    tuned = finetuned_model("small", 4, 64, tmp_path / "weights.pt").state_dict()
    for name, tensor in made.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(tuned[name], tensor), name
    assert tuned["fc.weight"].shape == (4, 256)


def test_weights_of_as_many_classes_are_kept_whole(tmp_path: Path) -> None:
    made = build_model("small", 4, fine=True)
    torch.save({"model": made.state_dict(), "epoch": 3}, tmp_path / "best.pt")
    tuned = finetuned_model("small", 4, 64, tmp_path / "best.pt").state_dict()
    assert all(torch.equal(tuned[name], tensor) for name, tensor in made.state_dict().items())


def test_weights_decide_the_stem(tmp_path: Path) -> None:
    torch.save(build_model("resnet18", 3, fine=False).state_dict(), tmp_path / "published.pt")
    assert finetuned_model("resnet18", 3, 64, tmp_path / "published.pt").conv1.kernel_size == (7, 7)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    torch.save(build_model("small", 3, fine=True).state_dict(), tmp_path / "small.pt")
    with pytest.raises(TrainingError, match="does not hold weights of resnet18"):
        finetuned_model("resnet18", 3, 64, tmp_path / "small.pt")
    with pytest.raises(TrainingError, match="no weights at"):
        finetuned_model("small", 3, 64, tmp_path / "absent.pt")
    # Words that make pickle's machine stumble in several ways.
    for text in ("not weights", "junk\n", "I!\n", "Vx", "\udcff", "0"):
        (tmp_path / "text.pt").write_text(text, "utf-8", "surrogateescape")
        with pytest.raises(TrainingError, match="cannot be read"):
            finetuned_model("small", 3, 64, tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(TrainingError, match="no state dict"):
        finetuned_model("small", 3, 64, tmp_path / "list.pt")
