"""FormattedContent made safe: a requester's XHTML reduced to elements and attributes that can do no harm."""

from __future__ import annotations

import re
from html.entities import html5
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from markupsafe import Markup, escape

from ..errors import RequestRefused

_KEPT = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "address",
        "b",
        "big",
        "blockquote",
        "br",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "u",
        "ul",
        "var",
    ]
)
# Whose text is no text for people either.
_DROPPED = frozenset(
    [
        "script",
        "style",
        "iframe",
        "object",
        "embed",
        "applet",
        "noscript",
        "template",
        "svg",
        "math",
        "form",
        "head",
        "title",
        "textarea",
        "select",
    ]
)
_VOID = frozenset({"br", "col", "hr", "img"})
_ATTRIBUTES = frozenset(
    {"title", "alt", "width", "height", "colspan", "rowspan", "scope", "lang", "dir", "align"}
)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_OF_XML = frozenset({"amp", "lt", "gt", "quot", "apos"})
_DEEPEST = 100


def clean_xhtml(source: str) -> Markup:
    """The source with scripts, styles, forms, handlers and strange addresses taken out.

    Raises RequestRefused (XHTMLParseError) if it is not well-formed XHTML.
    """
    named = _ENTITY.sub(_character, source)
    try:
        root: Element = fromstring(f"<div>{named}</div>", forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise RequestRefused(
            f"FormattedContent is not well-formed XHTML: {error}", "XHTMLParseError"
        ) from error
    return Markup(_inside(root, 0))


def _character(found: re.Match[str]) -> str:
    if found[1] in _OF_XML:
        return found[0]
    return str(escape(html5.get(f"{found[1]};", found[0])))


def _inside(element: Element, depth: int) -> str:
    if depth > _DEEPEST:
        raise RequestRefused(f"FormattedContent nests deeper than {_DEEPEST} elements", "XHTMLParseError")
    parts = [str(escape(element.text or ""))]
    for child in element:
        parts += [_written(child, depth + 1), str(escape(child.tail or ""))]
    return "".join(parts)


def _written(element: Element, depth: int) -> str:
    name = element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else "script"
    if name in _DROPPED:
        return ""
    if name not in _KEPT:
        return _inside(element, depth)
    attributes = "".join(f' {key}="{escape(value)}"' for key, value in _harmless(name, element))
    if name in _VOID:
        return f"<{name}{attributes}>"
    return f"<{name}{attributes}>{_inside(element, depth)}</{name}>"


def _harmless(name: str, element: Element) -> list[tuple[str, str]]:
    kept = [(key, value) for key, value in element.attrib.items() if key in _ATTRIBUTES]
    if name == "a" and (address := _address(element.get("href", ""))):
        kept += [("href", address), ("target", "_blank"), ("rel", "noopener noreferrer nofollow")]
    if name == "img" and (address := _address(element.get("src", ""))):
        kept.append(("src", address))
    return kept


def _address(text: str) -> str | None:
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        return None
    return text.strip() if parts.scheme in {"http", "https"} and parts.hostname else None
