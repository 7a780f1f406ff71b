"""README.md: the dataset card, with the header that Hugging Face's hub and `datasets` read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template

from imagenet_builder.records import Rights, Split
from imagenet_builder.train.sealed import sealed_name

from .acquired import acquired_texts
from .description import Release
from .facts import Facts, licence_name
from .parts import SPLIT_NAMES
from .plan import Plan
from .request import ExportRequest

README_NAME = "README.md"

RULE_TEXTS = {
    "majority": "more than half of the workers who voted on it had to say yes",
    "dynamic": "votes were asked for until one answer led clearly",
    "dawid-skene": "votes were weighed by how well each worker does (Dawid and Skene 1979)",
}
# The identifiers that the hub knows; see "license" in its documentation of dataset cards.
HUB_LICENCES = frozenset(
    [
        "cc0-1.0",
        *(f"cc-by-{version}" for version in ("2.0", "2.5", "3.0", "4.0")),
        *(f"cc-by-sa-{version}" for version in ("3.0", "4.0")),
        *(f"cc-by-nc-{version}" for version in ("2.0", "3.0", "4.0")),
        "cc-by-nd-4.0",
        *(f"cc-by-nc-nd-{version}" for version in ("3.0", "4.0")),
        *(f"cc-by-nc-sa-{version}" for version in ("2.0", "3.0", "4.0")),
    ]
)
# By what a Creative Commons licence is called after.
CAUTIONS = {
    "unstated": "No licence stated by the source, to be passed on only with the authors' leave: {:,} pictures.",
    "NC": "Not to be used for commercial purposes (NC): {:,} pictures.",
    "ND": "Not to be passed on in an altered form (ND): {:,} pictures.",
    "SA": "To be adapted only under the same licence (SA): {:,} pictures.",
}
SIZE_STEPS = ((10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M"))
# `datasets` loads one kind of files from a folder: the first of these that is there, and only its own pattern.
LOADED = ("parquet", "webdataset", "ilsvrc")
FILES: Mapping[str, str] = {
    "ilsvrc": """\
- `train/<wnid>/`, `val/<wnid>/`: the pictures, in the layout of ILSVRC-2012.
- `unlabelled/`: test (`unlabelled-replicate/`: its replicate, if there is one), without labels.
- `meta.bin`, `ILSVRC2012_devkit_t12/`: class names, hierarchy and ground truth of val for existing tools.""",
    "ilsvrc-archives": "- `archives/`: the tars in which ILSVRC-2012 was distributed, and the devkit.",
    "kaggle": "- `kaggle/`: the layout of Kaggle's ImageNet challenge, without boxes.",
    "webdataset": "- `webdataset/`: tars for webdataset and timm; -1 is the label of test.",
    "parquet": "- `data/`: Parquet with the columns image and label; -1 is the label of test.",
    "mds": "- `mds/`: shards for mosaicml-streaming; `y` is -1 in test.",
    "croissant": "- `croissant.json`: this dataset described in Croissant 1.1.",
}
LOADING: Mapping[str, str] = {
    "ilsvrc": """\
import torchvision
train = torchvision.datasets.ImageNet("this-folder", split="train")""",
    "webdataset": """\
import timm.data
train = timm.data.create_dataset("wds/", root="this-folder/webdataset", split="train")""",
    "mds": """\
import streaming.vision
train = streaming.vision.StreamingImageNet(local="this-folder/mds", split="train", batch_size=256)""",
}
LOADING_DATASETS = """\
import datasets
everything = datasets.load_dataset("this-folder")"""


def readme(plan: Plan, request: ExportRequest, facts: Facts) -> bytes:
    """README.md: what this is, how it was made, how many pictures, under which licences, and how to load it."""
    text = files("imagenet_builder.export").joinpath("readme", "README.md").read_text("utf-8")
    counts, release = plan.counts, plan.release
    filled = Template(text).substitute(
        header=_header(release, request, facts),
        title=release.title,
        classes=len(release.classes),
        train=f"{counts.train:,}",
        val=f"{counts.val:,}",
        test=f"{counts.test:,}",
        class_sizes=class_sizes(release),
        found=acquired_texts(facts)["found"],
        rules=rule_list(facts),
        files="\n".join(FILES[name] for name in FILES if name in request.formats),
        sealed=_sealed_line(release),
        loading=_loading(request),
        licences=licence_table(facts),
        cautions=cautions_text(facts),
        multi_label=f"{counts.multi_label:,}",
        near_duplicates=f"{counts.near_duplicates:,}",
        seed=request.seed,
        authors=authors_text(plan, request),
        replicate=replicate_row(plan),
    )
    return filled.encode()


def _sealed_line(release: Release) -> str:
    """The line of the list of files that names the sealed ones, with its line break; nothing where there are none."""
    files, splits = sealed_files(release)
    if not files:
        return ""
    return (
        f"- {files}: labels, sources and votes of {splits}, encrypted;\n"
        "  `imagenet-builder evaluate` scores with the key.\n"
    )


def sealed_files(release: Release) -> tuple[str, str]:
    """The sealed files, and the hidden splits that they are of, as a sentence names them."""
    hidden = [split for split in Split if split.hidden and release.of_split(split)]
    return ", ".join(f"`{sealed_name(split)}`" for split in hidden), " and ".join(hidden)


def replicate_row(plan: Plan) -> str:
    """The replicate's line in the table of splits, with its line break; nothing where there is none."""
    if not plan.counts.replicate:
        return ""
    return f"| replicate | {plan.counts.replicate:,} | a second test, sampled as test was, without labels |\n"


def rule_list(facts: Facts) -> str:
    """One Markdown line for every rule that decided, and how many pictures it did."""
    lines = []
    for rule, number in sorted(facts.rules.items()):
        text = RULE_TEXTS.get(rule)
        lines.append(f"- {number:,} pictures by the rule `{rule}`" + (f": {text}" if text else ""))
    return "\n".join(lines)


def authors_text(plan: Plan, request: ExportRequest) -> str:
    """Whether one author's or page's pictures are on one side, in a sentence."""
    if request.divide_authors:
        return "One author's pictures may be on several sides."
    if plan.counts.divided_authors:
        return (
            "One author's or page's pictures are on one side, but for "
            f"{plan.counts.divided_authors:,} without whom a class could not be filled."
        )
    return "One author's or page's pictures are on one side."


def class_sizes(release: Release) -> str:
    """How many pictures of train a class has."""
    sizes = [one.train for one in release.classes]
    if min(sizes) == max(sizes):
        return f"{max(sizes):,} a class"
    return f"{min(sizes):,} to {max(sizes):,} a class"


def licence_table(facts: Facts) -> str:
    """A Markdown table of every licence, the commonest first."""
    rows = [
        f"| {_cell(name)} | {_cell(url)} | {number:,} |" for name, url, number in facts.licences_by_number()
    ]
    return "\n".join(["| licence | text | pictures |", "| --- | --- | ---: |", *rows])


def _cell(text: str) -> str:
    # A source may say anything.
    return text.replace("|", "\\|").replace("<", "&lt;")


def cautions_text(facts: Facts) -> str:
    """What the licences that occur forbid or ask for, one Markdown line each with the pictures it concerns."""
    number = Counter[str]()
    for (name, _), pictures in facts.licences.items():
        number.update(dict.fromkeys(_conditions(name), pictures))
    told = [
        f"- {text.format(number[condition])}" for condition, text in CAUTIONS.items() if number[condition]
    ]
    return "".join(f"{line}\n" for line in told)


def _conditions(name: str) -> set[str]:
    if name == licence_name(Rights()):
        return {"unstated"}
    return set(name.split()[1].split("-")) if name.startswith("CC ") else set()


def hub_licences(facts: Facts) -> list[str]:
    """The hub's identifiers of all licences that occur; `other` stands for those that it does not know."""
    found = {"cc0-1.0" if name == "CC0" else name.lower().replace(" ", "-") for name, _ in facts.licences}
    known = sorted(found & HUB_LICENCES)
    return known if found <= HUB_LICENCES else [*known, "other"]


def _header(release: Release, request: ExportRequest, facts: Facts) -> str:
    """The YAML header; strings are written as JSON, which YAML reads."""
    licences = hub_licences(facts)
    lines = [
        f"pretty_name: {json.dumps(release.title, ensure_ascii=False)}",
        f"license: {json.dumps(licences)}",
        *(["license_name: as-listed", "license_link: LICENSES.txt"] if "other" in licences else []),
        'task_categories: ["image-classification"]',
        f"size_categories: {json.dumps([_size_category(len(release.pictures))])}",
        'annotations_creators: ["crowdsourced"]',
        'source_datasets: ["original"]',
        'tags: ["wordnet", "imagenet"]',
        *_configs(release, request.formats),
    ]
    return "\n".join(["---", *lines, "---"])


def _size_category(pictures: int) -> str:
    below = "n<1K"
    for (bound, name), (_, following) in zip(SIZE_STEPS, [*SIZE_STEPS[1:], (0, "1B")], strict=True):
        if pictures >= bound:
            below = f"{name}<n<{following}"
    return below


def _configs(release: Release, formats: Sequence[str]) -> list[str]:
    loaded = next((name for name in LOADED if name in formats), None)
    if loaded is None:
        return []
    present = [split for split in Split if release.of_split(split)]
    if loaded == "ilsvrc":
        # Files without a class folder would make the reader drop all labels: hidden splits are not among these.
        paths: dict[Split, str] = {split: f"{split}/**" for split in present if not split.hidden}
    else:
        pattern = {"parquet": "data/{}-*.parquet", "webdataset": "webdataset/{}-*.tar"}[loaded]
        paths = {split: pattern.format(SPLIT_NAMES[split]) for split in present}
    lines = ["configs:", "- config_name: default", "  data_files:"]
    for split, path in paths.items():
        lines += [f"  - split: {SPLIT_NAMES[split]}", f"    path: {json.dumps(path)}"]
    return lines


def _loading(request: ExportRequest) -> str:
    parts = [LOADING[name] for name in LOADING if name in request.formats]
    if any(name in request.formats for name in LOADED):
        parts.append(LOADING_DATASETS)
    return "\n\n".join(parts) or "# Any reader of the files above."
