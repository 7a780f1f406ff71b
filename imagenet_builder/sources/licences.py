"""Licences as sources write them, brought to the short codes of `records.Rights`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from imagenet_builder.errors import ProjectError
from imagenet_builder.records import Rights

# From free to restricted: a picture under several licences is taken under the first.
FREEDOM = (
    "cc0",
    "pd",
    "by",
    "by-sa",
    "fal",
    "gfdl",
    "by-nd",
    "by-nc",
    "by-nc-sa",
    "by-nc-nd",
)
UNKNOWN = "unknown"

_CREATIVE_COMMONS = re.compile(
    r"(?:creative commons|cc)[ -]"
    r"(?P<code>by(?:[ -](?:nc|sa|nd)){0,2})"
    r"(?:[ -](?P<versions>\d\.\d(?:,\d\.\d)*))?"
    r"(?:[ -](?:migrated|self|[a-z]{2,3}|all|any))*"
)
_CREATIVE_COMMONS_URL = re.compile(
    r"https?://creativecommons\.org/(?:licenses/(?P<code>[a-z-]+)|publicdomain/(?P<public>zero|mark))"
    r"/(?P<version>\d\.\d)"
)
_WORDS = {
    "cc0": "cc0",
    "cc zero": "cc0",
    "cc-zero": "cc0",
    "cc0 1.0": "cc0",
    "cc-0": "cc0",
    "creative commons zero": "cc0",
    "public domain": "pd",
    "publicdomain": "pd",
    "pd": "pd",
    "pdm": "pd",
    "cc-pd-mark": "pd",
    "gfdl": "gfdl",
    "fal": "fal",
}


def parse_licence(text: str) -> Rights | None:
    """Read one licence as it is written: `CC BY-SA 4.0`, `cc-by-2.5,2.0`, `PD-old-100`, a licence's address.

    The newest of several versions counts. Returns None for what is not known to be a licence.
    """
    words = " ".join(text.replace("_", " ").lower().split())
    address = _CREATIVE_COMMONS_URL.search(words)
    if address:
        code = {"zero": "cc0", "mark": "pd"}.get(address["public"] or "", address["code"])
        return _rights(code, address["version"])
    if words in _WORDS:
        return _rights(_WORDS[words], None)
    if re.fullmatch(r"pd[ -].+", words):
        return _rights("pd", None)
    named = re.fullmatch(r"(gfdl|fal)(?:[ -](\d\.\d).*)?", words)
    if named:
        return _rights(named[1], named[2])
    match = _CREATIVE_COMMONS.fullmatch(words)
    if match is None:
        return None
    versions = sorted(match["versions"].split(",")) if match["versions"] else []
    return _rights(match["code"].replace(" ", "-"), versions[-1] if versions else None)


def read_code(text: str) -> Rights | None:
    """Read a licence as lists and settings write it: as `parse_licence` does, or its bare code (`by-sa`, `by 2.0`)."""
    return parse_licence(text) or parse_licence(f"cc-{text.strip()}")


def licence_of_setting(section: str, text: str) -> Rights:
    """The rights that the setting `licence` of `section` tells; raises ProjectError for an unknown one."""
    if not text or text == UNKNOWN:
        return Rights()
    rights = read_code(text)
    if rights is None:
        raise ProjectError(
            f"[{section}] licence = {text!r} is not known; known are {', '.join(FREEDOM)}, {UNKNOWN}"
        )
    return rights


def require_known(codes: Iterable[str], known: Sequence[str]) -> None:
    """Raise ProjectError for the first of `codes` that is none of `known`."""
    for code in codes:
        if code not in known:
            raise ProjectError(
                f"{code!r} is not a licence that sources name; known are {', '.join(known[:-1])} and {known[-1]}"
            )


def is_taken(rights: Rights, licences: Collection[str]) -> bool:
    """Whether pictures under `rights` are taken by who asks for `licences`; UNKNOWN stands for those without one."""
    return (rights.licence or UNKNOWN) in licences


def freest(found: list[Rights]) -> Rights | None:
    """The licence that asks least of whoever uses the picture, in its newest version; None for an empty list."""
    if not found:
        return None
    newest = sorted(found, key=lambda rights: rights.licence_version or "", reverse=True)
    return min(newest, key=lambda rights: FREEDOM.index(rights.licence or ""))


def _rights(code: str, version: str | None) -> Rights | None:
    code = {"by-nd-nc": "by-nc-nd", "by-sa-nc": "by-nc-sa"}.get(code, code)
    if code not in FREEDOM:
        return None
    return Rights(licence=code, licence_version=version, licence_url=_address(code, version))


def _address(code: str, version: str | None) -> str | None:
    """The deed of a Creative Commons licence; None where the version that would name it is unknown."""
    if code == "cc0":
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    if code.startswith("by") and version:
        return f"https://creativecommons.org/licenses/{code}/{version}/"
    return None
