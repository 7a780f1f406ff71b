"""What a picture's description page says in its templates: licence, author, credit.

MediaWiki's API gives these ready made only where the CommonsMetadata extension is installed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass

from imagenet_builder.records import Rights

from .licences import freest, parse_licence

# {{self|…}} and its like take licences as their parameters.
LICENCE_LISTS = ("self", "self2", "multi-license", "multilicense")

_HIDDEN = re.compile(r"<!--.*?-->|<nowiki>.*?</nowiki>", re.DOTALL | re.IGNORECASE)
_MARKS = re.compile(r"\{\{|\}\}|\[\[|\]\]|\|")
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_OUTER_LINK = re.compile(r"\[(?:https?:)?//[^\s\]]+\s*([^\]]*)\]")
_TAG = re.compile(r"<[^<>]*>")
_TEMPLATE = re.compile(r"\{\{(?:[^{}|]*\|)*([^{}|]*)\}\}")


@dataclass(frozen=True, slots=True)
class Template:
    """One use of a template: its name in small letters and what it was given, as written."""

    name: str
    positional: tuple[str, ...]
    named: dict[str, str]


def templates(wikitext: str) -> Iterator[Template]:
    """Every template that `wikitext` uses, the nested ones too, inner before outer."""
    opened: list[tuple[str, list[int]]] = []
    text = _HIDDEN.sub("", wikitext)
    for mark in _MARKS.finditer(text):
        kind = mark.group()
        if kind in ("{{", "[["):
            opened.append((kind, [mark.end()]))
        elif kind == "|":
            if opened:
                opened[-1][1].append(mark.start())
        elif opened and opened[-1][0] == {"}}": "{{", "]]": "[["}[kind]:
            _, places = opened.pop()
            if kind == "}}":
                yield _template(text, places, mark.start())


def _template(text: str, places: list[int], end: int) -> Template:
    first, *bars = places
    ends = [*bars, end]
    name = " ".join(text[first : ends[0]].replace("_", " ").split()).lower()
    positional: list[str] = []
    named: dict[str, str] = {}
    for start, stop in zip(bars, ends[1:], strict=True):
        part = text[start + 1 : stop]
        key, equals, value = part.partition("=")
        if equals and re.fullmatch(r"[\w \t\n-]+", key):
            named[key.strip().lower()] = value.strip()
        else:
            positional.append(part.strip())
    return Template(name.removeprefix("template:"), tuple(positional), named)


def read_rights(wikitext: str) -> Rights:
    """Licence, author and credit of a description page; fields that it does not tell are None.

    Of several licences the freest counts.
    """
    licences: list[Rights] = []
    author: str | None = None
    credit: str | None = None
    for template in templates(wikitext):
        names = template.positional if template.name in LICENCE_LISTS else (template.name,)
        licences += [licence for name in names if (licence := parse_licence(name)) is not None]
        author = author or plain(template.named.get("author", "")) or None
        credit = credit or plain(template.named.get("source", "")) or None
    return dataclasses.replace(freest(licences) or Rights(), author=author, credit=credit)


def plain(wikitext: str) -> str:
    """The words of a short piece of wikitext: links by their label, templates by their last parameter."""
    text = _LINK.sub(r"\1", wikitext)
    text = _OUTER_LINK.sub(r"\1", text)
    text = _TEMPLATE.sub(r"\1", text)
    text = _TAG.sub("", text).replace("'''", "").replace("''", "")
    return " ".join(text.split())
