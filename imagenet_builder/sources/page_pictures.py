"""The pictures that a web page shows, with the words beside them and the licence that the page states. No I/O.

Read are `img` with `srcset`, `picture`, `og:image` (https://ogp.me), `figcaption`, schema.org ImageObject as JSON-LD
(https://schema.org/ImageObject, as https://developers.google.com/search/docs/appearance/structured-data/image-license-metadata
has pages written) and `rel=license` (https://html.spec.whatwg.org/#link-type-license); a page's own opt-outs come with
them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urldefrag, urljoin

from imagenet_builder.crawl.permission import OPT_OUTS
from imagenet_builder.crawl.politeness import AGENT_TOKEN
from imagenet_builder.records import Rights

from .licences import parse_licence
from .matching import words_of_address

_SRCSET = re.compile(r"\s*(?P<url>\S*[^\s,])(?:\s+(?P<size>[\d.]+)[wx])?\s*(?:,|$)")
_DEEPEST_JSON = 40
_OPEN_GRAPH = ("og:image", "og:image:url", "og:image:secure_url")


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A picture of a page: its absolute address, the words beside it, its rights; sides as the page claims."""

    url: str
    words: str
    title: str | None = None
    rights: Rights = field(default_factory=Rights)
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class PageContents:
    """What a page shows; `opt_out` tells in a few words why nothing of it may be taken."""

    pictures: tuple[PagePicture, ...] = ()
    title: str = ""
    opt_out: str | None = None


def read_page(markup: str, address: str) -> PageContents:
    """Read the HTML `markup` that was found at `address`. Never raises for bad markup."""
    reader = _Reader(address)
    reader.feed(markup)
    reader.close()
    if reader.opt_out:
        return PageContents(title=reader.title, opt_out=reader.opt_out)
    described = dict(_image_objects(reader.linked, reader.base))
    page_rights = reader.licence or Rights()
    pictures: dict[str, PagePicture] = {}
    for shown in [*_shown(reader), *described.values()]:
        told = described.get(shown.url)
        if told is not None and told is not shown:
            shown = dataclasses.replace(
                shown,
                words=f"{shown.words} {told.words}",
                title=shown.title or told.title,
                rights=told.rights,
            )
        if shown.rights.licence is None:
            own = shown.rights
            shown = dataclasses.replace(
                shown, rights=dataclasses.replace(page_rights, author=own.author, credit=own.credit)
            )
        pictures.setdefault(shown.url, shown)
    return PageContents(tuple(pictures.values()), reader.title)


@dataclass
class _Shown:
    """A picture while its page is read: `place` is as written; `captions` are filled in later."""

    place: str
    texts: list[str]
    captions: list[str] = field(default_factory=list)
    width: int | None = None
    height: int | None = None


def _shown(reader: _Reader) -> Iterator[PagePicture]:
    for shown in reader.shown:
        url = _absolute(reader.base, shown.place)
        if url is None:
            continue
        texts = [text for text in (*shown.texts, *shown.captions) if text]
        if shown.place == reader.open_graph_place:
            texts += [reader.open_graph_title, reader.title]
        yield PagePicture(
            url=url,
            words=" ".join((*texts, words_of_address(url))),
            title=next(iter(texts), None),
            width=shown.width,
            height=shown.height,
        )


class _Reader(HTMLParser):
    """Gathers what a page shows; the base address, licence and title may stand anywhere in it."""

    def __init__(self, address: str) -> None:
        super().__init__(convert_charrefs=True)
        self.base = address
        self.title = ""
        self.licence: Rights | None = None
        self.opt_out: str | None = None
        self.shown: list[_Shown] = []
        self.linked: list[Any] = []
        self.open_graph_place = ""
        self.open_graph_title = ""
        # What text is being gathered for, and the pictures of the figure and <picture> that are open.
        self._gathering = ""
        self._text: list[str] = []
        self._figure_from: int | None = None
        self._sources: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        relations = given.get("rel", "").lower().split()
        if tag in ("a", "link") and "license" in relations and self.licence is None:
            self.licence = parse_licence(given.get("href", ""))
        if tag == "base" and given.get("href"):
            self.base = urljoin(self.base, given["href"])
        elif tag == "meta":
            self._meta(given)
        elif tag == "img":
            self._image(given)
        elif tag == "picture":
            self._sources = []
        elif tag == "source" and self._sources is not None:
            self._sources.append(given.get("srcset", ""))
        elif tag == "figure":
            self._figure_from = len(self.shown)
        elif tag in ("title", "figcaption"):
            self._begin(tag)
        elif (
            tag == "script"
            and given.get("type", "").lower().partition(";")[0].strip() == "application/ld+json"
        ):
            self._begin("script")

    def handle_endtag(self, tag: str) -> None:
        if tag == "picture":
            self._sources = None
        elif tag == "figure":
            self._figure_from = None
        if tag != self._gathering:
            return
        text, self._gathering = "".join(self._text), ""
        if tag == "title":
            self.title = self.title or " ".join(text.split())[:300]
        elif tag == "figcaption" and self._figure_from is not None:
            for shown in self.shown[self._figure_from :]:
                shown.captions.append(" ".join(text.split())[:1000])
        elif tag == "script":
            self._read_linked(text)

    def handle_data(self, text: str) -> None:
        if self._gathering:
            self._text.append(text)

    def _begin(self, tag: str) -> None:
        self._gathering, self._text = tag, []

    def _meta(self, given: Mapping[str, str]) -> None:
        name = (given.get("property") or given.get("name") or "").lower()
        content = given.get("content", "").strip()
        if name in _OPEN_GRAPH and content:
            if content != self.open_graph_place:
                self.shown.append(_Shown(content, []))
            self.open_graph_place = content
        elif name == "og:image:alt" and self.open_graph_place:
            self.shown[-1].texts.append(content)
        elif name == "og:title":
            self.open_graph_title = content
        elif name in ("robots", AGENT_TOKEN):
            stated = sorted({rule.strip().lower() for rule in content.split(",")} & OPT_OUTS)
            if stated:
                self.opt_out = f"meta {name}: {', '.join(stated)}"
        elif name == "tdm-reservation" and content == "1":
            self.opt_out = "meta tdm-reservation: 1"

    def _image(self, given: Mapping[str, str]) -> None:
        sets = [*(self._sources or ()), given.get("srcset", "")]
        largest = max((choice for text in sets for choice in _choices(text)), default=None)
        place = largest[1] if largest else given.get("src", "")
        # The attributes tell the size of the one in src, or what the page makes of it.
        sides = (None, None) if largest else (_pixels(given.get("width")), _pixels(given.get("height")))
        texts = [given.get("alt", "").strip(), given.get("title", "").strip()]
        if place:
            self.shown.append(_Shown(place, texts, width=sides[0], height=sides[1]))

    def _read_linked(self, text: str) -> None:
        try:
            self.linked.append(json.loads(text))
        except (ValueError, RecursionError):
            # Broken JSON-LD tells nothing; the page is shown to people without it too.
            return


def _choices(srcset: str) -> Iterator[tuple[float, str]]:
    """The entries of a srcset with their width or density; without one it counts as 1."""
    for match in _SRCSET.finditer(srcset):
        try:
            size = float(match["size"] or 1)
        except ValueError:
            continue
        yield size, match["url"]


def _image_objects(documents: list[Any], base: str) -> Iterator[tuple[str, PagePicture]]:
    for document in documents:
        for node in _nodes(document, 0):
            place = _text(node.get("contentUrl")) or _text(node.get("url"))
            url = _absolute(base, place) if place else None
            if url is None:
                continue
            names = [_text(node.get(key)) for key in ("name", "caption", "description")]
            texts = [name for name in names if name]
            licence = _text(node.get("license")) or ""
            rights = dataclasses.replace(
                parse_licence(licence) or Rights(),
                author=_text(node.get("creator")) or _text(node.get("author")),
                credit=_text(node.get("creditText")) or _text(node.get("copyrightNotice")),
            )
            words = " ".join((*texts, words_of_address(url)))
            yield url, PagePicture(url, words, next(iter(texts), None), rights)


def _nodes(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """Every ImageObject in a JSON-LD document, however deep (within reason)."""
    if depth > _DEEPEST_JSON:
        return
    if isinstance(value, list):
        for part in value:
            yield from _nodes(part, depth + 1)
    elif isinstance(value, dict):
        kinds = value.get("@type")
        if "ImageObject" in (kinds if isinstance(kinds, list) else [kinds]):
            yield value
        for part in value.values():
            yield from _nodes(part, depth + 1)


def _text(value: Any) -> str | None:
    """A JSON-LD value as text: a string, the name or @id of a node, or the first of several."""
    if isinstance(value, list):
        return next((text for part in value if (text := _text(part))), None)
    if isinstance(value, dict):
        return _text(value.get("name")) or _text(value.get("@id")) or _text(value.get("@value"))
    return " ".join(value.split())[:1000] or None if isinstance(value, str) else None


def _absolute(base: str, place: str) -> str | None:
    """`place` on a page at `base` as an http(s) address without fragment; None for anything else (data:, …)."""
    try:
        url, _ = urldefrag(urljoin(base, place.strip()))
    except ValueError:
        return None
    return url if url.startswith(("http://", "https://")) else None


def _pixels(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 6 else None
