"""croissant.json: the release in Croissant 1.1 with its responsible-AI fields (mlcommons.org/croissant/1.1).

It describes the Parquet files, or else the ILSVRC tree, so that mlcroissant loads them from the release's folder. What
the store does not know (creator, URL, date of publication) is absent rather than invented.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.acquired import searched_or_own
from imagenet_builder.export.card import RULE_TEXTS
from imagenet_builder.export.description import Release
from imagenet_builder.export.facts import Facts
from imagenet_builder.export.provenance import IMAGES_NAME
from imagenet_builder.export.request import ExportRequest
from imagenet_builder.export.tree import Listed

FORMAT, NAME = "croissant", "croissant.json"
PARQUET, PICTURES = "parquet-files", "picture-files"
JPEG, PARQUET_TYPE = "image/jpeg", "application/x-parquet"
INTEGER, TEXT, IMAGE, URL, TIME = "sc:Integer", "sc:Text", "sc:ImageObject", "sc:URL", "sc:DateTime"
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def check_croissant(formats: tuple[str, ...]) -> None:
    """Raise ReleaseError when `formats` has nothing that Croissant can describe."""
    if not {"parquet", "ilsvrc"} & set(formats):
        raise ReleaseError("croissant describes files: add --format parquet or --format ilsvrc")


def croissant(release: Release, request: ExportRequest, facts: Facts, files: Mapping[str, Listed]) -> bytes:
    """The document; `files` are those of the release that were written piece by piece, among them all it names."""
    document = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": release.title,
        "description": (
            f"{len(release.pictures)} pictures of {len(release.classes)} kinds of things, nouns of WordNet 3.0, "
            "each accepted by the votes of workers."
        ),
        "keywords": ["image classification", "WordNet"],
        "license": _licences(facts),
        **_responsible(facts),
        "distribution": _distribution(request, files),
        "recordSet": [
            _classes(release),
            _parquet_pictures() if "parquet" in request.formats else _tree_pictures(),
            _origins(),
        ],
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _licences(facts: Facts) -> list[str]:
    """The licences' addresses, and the names of those that have none, each once."""
    return list(dict.fromkeys(url or name for name, url, _ in facts.licences_by_number()))


def _responsible(facts: Facts) -> dict[str, Any]:
    """Fields of the responsible-AI vocabulary that the store can answer."""
    crowd = facts.crowd
    each = sorted(facts.votes_each)
    collected = {"Others" if source == "folder" else "Web API" for source in facts.sources}
    found: dict[str, Any] = {
        **searched_or_own(facts),
        "rai:dataCollectionType": sorted(collected),
        "rai:dataPreprocessingProtocol": [
            "Metadata removed; turned upright and converted to RGB JPEG where needed.",
            "Near-duplicates are never in two splits.",
        ],
        "rai:dataAnnotationProtocol": [
            "Workers saw the picture and the synset's definition and said whether it shows one.",
            *(f"{rule}: {RULE_TEXTS[rule]}." for rule in sorted(facts.rules) if rule in RULE_TEXTS),
        ],
        "rai:annotationsPerItem": f"{each[0]} votes"
        if each[0] == each[-1]
        else f"{each[0]} to {each[-1]} votes",
        "rai:dataLimitations": [
            "One label a picture; a picture may show more.",
            "Pictures are what was found or at hand, not a sample of the world.",
        ],
    }
    if facts.retrieved is not None:
        found["rai:dataCollectionTimeframe"] = [
            when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
            for when in facts.retrieved
        ]
    if crowd.assignments:
        found["rai:dataAnnotationPlatform"] = [
            f"A marketplace with MTurk's protocol; {crowd.workers} workers in the whole project"
        ]
    return found


def _distribution(request: ExportRequest, files: Mapping[str, Listed]) -> list[dict[str, Any]]:
    described = [_file(IMAGES_NAME, PARQUET_TYPE, files[IMAGES_NAME])]
    if "parquet" in request.formats:
        described += [
            _file(path, PARQUET_TYPE, files[path]) for path in sorted(files) if path.startswith("data/")
        ]
        return [*described, _file_set(PARQUET, "data/*.parquet", PARQUET_TYPE)]
    return [
        *described,
        {**_file_set(PICTURES, "train/*/*.JPEG", JPEG), "includes": ["train/*/*.JPEG", "val/*/*.JPEG"]},
    ]


def _file(path: str, encoding: str, written: Listed) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{written.size} B",
        "encodingFormat": encoding,
        "sha256": written.sha256,
    }


def _file_set(name: str, includes: str, encoding: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "encodingFormat": encoding,
        "includes": includes,
    }


def _classes(release: Release) -> dict[str, Any]:
    """The classes, in the document itself."""
    columns = {"label": INTEGER, "wnid": TEXT, "words": TEXT, "gloss": TEXT, "ilsvrc_id": INTEGER}
    fields = [_field("classes", name, data_type) for name, data_type in columns.items()]
    rows = [
        {
            "classes/label": one.index,
            "classes/wnid": one.wnid,
            "classes/words": ", ".join(one.words),
            "classes/gloss": one.gloss,
            "classes/ilsvrc_id": one.ilsvrc_id,
        }
        for one in release.classes
    ]
    return {**_record_set("classes", fields), "key": {"@id": "classes/label"}, "data": rows}


def _parquet_pictures() -> dict[str, Any]:
    return _record_set(
        "pictures",
        [
            _field("pictures", "split", TEXT, _from_path(PARQUET, "data/([a-z]+)-.*")),
            _field(
                "pictures",
                "image",
                IMAGE,
                {**_from_column(PARQUET, "image", of="fileSet"), "transform": {"jsonPath": "bytes"}},
            ),
            _field("pictures", "label", INTEGER, _from_column(PARQUET, "label", of="fileSet")),
        ],
    )


def _tree_pictures() -> dict[str, Any]:
    content = {"fileSet": {"@id": PICTURES}, "extract": {"fileProperty": "content"}}
    return _record_set(
        "pictures",
        [
            _field("pictures", "split", TEXT, _from_path(PICTURES, "(train|val)/.*")),
            _field("pictures", "image", IMAGE, content),
            _field("pictures", "wnid", TEXT, _from_path(PICTURES, ".*/(n[0-9]{8})/.*")),
        ],
    )


def _origins() -> dict[str, Any]:
    """images.parquet: where train and val came from; of hidden splits it names the files."""
    columns = {
        "file": TEXT,
        "split": TEXT,
        "wnid": TEXT,
        "url": URL,
        "author": TEXT,
        "licence": TEXT,
        "licence_version": TEXT,
        "retrieved": TIME,
    }
    fields = [
        _field("origins", name, data_type, _from_column(IMAGES_NAME, name, of="fileObject"))
        for name, data_type in columns.items()
    ]
    return _record_set("origins", fields)


def _record_set(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _field(
    record_set: str, name: str, data_type: str, source: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    named = {"@type": "cr:Field", "@id": f"{record_set}/{name}", "name": name, "dataType": data_type}
    return {**named, "source": source} if source is not None else named


def _from_path(file_set: str, pattern: str) -> dict[str, Any]:
    return {
        "fileSet": {"@id": file_set},
        "extract": {"fileProperty": "fullpath"},
        "transform": {"regex": pattern},
    }


def _from_column(where: str, column: str, *, of: str) -> dict[str, Any]:
    return {of: {"@id": where}, "extract": {"column": column}}
