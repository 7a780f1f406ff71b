"""What the picture site says about a file: the metadata that CommonsMetadata extracts, and the page for people."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import quote

from imagenet_builder.demo.collection import PictureFile


def image_description(file: PictureFile, base_url: str) -> dict[str, Any]:
    """`extmetadata` of a file: each entry has a value (often HTML) and the source it was read from."""
    licence = file.licence
    host = base_url.partition(":")[2]
    user = f"User:{file.artist}"
    home = f"{host}/wiki/{quote(user.replace(' ', '_'), safe=':')}"
    link = f'<a href="{home}" title="{escape(user)}">{escape(file.artist)}</a>'
    page = "commons-desc-page"
    entries: dict[str, tuple[object, str]] = {
        "DateTime": (f"{file.uploaded:%Y-%m-%d %H:%M:%S}", "mediawiki-metadata"),
        "ObjectName": (file.name.rpartition(".")[0], "mediawiki-metadata"),
        "CommonsMetadataExtension": (1.2, "extension"),
        "Categories": ("|".join(file.categories), "commons-categories"),
        "Assessments": ("", "commons-categories"),
        "ImageDescription": (escape(file.description), page),
        "DateTimeOriginal": (f"{file.uploaded:%Y-%m-%d}", page),
        "Credit": ('<span class="int-own-work" lang="en">Own work</span>', page),
        "Artist": (link, page),
    }
    if licence.short:
        entries["LicenseShortName"] = (licence.short, page)
        entries["UsageTerms"] = (licence.terms, page)
        attribution = licence.code.startswith("cc-by")
        entries["AttributionRequired"] = (str(attribution).lower(), page)
        entries["Copyrighted"] = (str(licence.code not in ("cc0", "pd")), page)
    if licence.url:
        entries["LicenseUrl"] = (licence.url, page)
    if licence.code:
        entries["License"] = (licence.code, "commons-templates")
    if not licence.free:
        entries["NonFree"] = ("true", "commons-templates")
    entries["Restrictions"] = ("", page)
    hidden = ("DateTime", "CommonsMetadataExtension")
    return {
        name: {"value": value, "source": source} | ({"hidden": ""} if name in hidden else {})
        for name, (value, source) in entries.items()
    }


def wikitext(file: PictureFile) -> str:
    """The source of the file's page, as uploaders write it: an information template, a licence, categories."""
    licence = file.licence
    if licence.code:
        terms = f"{{{{self|{licence.code}}}}}" if licence.code.startswith("cc") else "{{PD-user}}"
    else:
        terms = "" if licence.free else "{{Non-free fair use}}"
    return (
        "=={{int:filedesc}}==\n{{Information\n"
        f"|description={{{{en|1={file.description}}}}}\n|date={file.uploaded:%Y-%m-%d}\n|source={{{{own}}}}\n"
        f"|author=[[User:{file.artist}|{file.artist}]]\n}}}}\n\n=={{{{int:license-header}}}}==\n{terms}\n\n"
        + "\n".join(f"[[Category:{category}]]" for category in file.categories)
    )


def description_page(file: PictureFile, base_url: str) -> str:
    """The file's page as HTML."""
    licence = file.licence
    terms = escape(licence.terms or "No licence is named.")
    if licence.url:
        terms = f'<a rel="license" href="{escape(licence.url)}">{terms}</a>'
    kinds = "".join(f"<li>Category:{escape(category)}</li>" for category in file.categories)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(file.title)}</title></head>'
        f"<body><h1>{escape(file.title)}</h1>"
        f'<p><a href="{base_url}{file.original_path}">Original file</a></p>'
        f'<table><tr><td id="fileinfotpl_desc">Description</td><td>{escape(file.description)}</td></tr>'
        f'<tr><td id="fileinfotpl_aut">Author</td><td>{escape(file.artist)}</td></tr></table>'
        f"<p>{terms}</p><ul>{kinds}</ul></body></html>\n"
    )
