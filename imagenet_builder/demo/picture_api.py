"""The MediaWiki action API over the collection, in the shape in which Wikimedia Commons answers.

`action=query` with `generator=search`, `list=search`, `titles` or `pageids`, `prop=imageinfo|revisions`,
`meta=siteinfo`; format versions 1 and 2. See https://www.mediawiki.org/wiki/API:Imageinfo and API:Search. It has no
categories, and answers for one as a wiki does that has not got it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imagenet_builder.demo.collection import Collection, PictureFile
from imagenet_builder.demo.collection_search import SearchIndex
from imagenet_builder.demo.picture_files import Rendered
from imagenet_builder.demo.picture_pages import image_description, wikitext
from imagenet_builder.errors import BuilderError

Answer = dict[str, Any]

THUMBNAIL_STEPS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)
MOST_RESULTS = 500
LAST_RESULT = 10_000
FILE_NAMESPACE = "6"
_SEARCH_PARAMETERS = ("search", "namespace", "limit", "offset", "what", "info", "prop", "sort", "qiprofile")
KNOWN_PARAMETERS = frozenset(
    (
        *(
            "action",
            "format",
            "formatversion",
            "errorformat",
            "utf8",
            "maxlag",
            "origin",
            "requestid",
            "uselang",
        ),
        *("titles", "pageids", "redirects", "prop", "list", "meta", "siprop", "generator", "continue"),
        *(
            "iiprop",
            "iiurlwidth",
            "iilimit",
            "iiextmetadatalanguage",
            "iiextmetadatafilter",
            "rvprop",
            "rvslots",
        ),
        *(prefix + name for prefix in ("sr", "gsr") for name in _SEARCH_PARAMETERS),
        *(prefix + name for prefix in ("cm", "gcm") for name in ("title", "type", "limit", "prop")),
    )
)


class ApiError(BuilderError):
    """An error that the API answers with HTTP 200: its code, its words, and what belongs to it."""

    def __init__(self, code: str, words: str, **more: object) -> None:
        super().__init__(words)
        self.code = code
        self.body: Answer = {"code": code, "info": words, **more}


def thumbnail_step(width: int) -> int:
    """The standard width that is made for a wished one: the next that is no smaller."""
    return next((step for step in THUMBNAIL_STEPS if step >= width), THUMBNAIL_STEPS[-1])


class Api:
    """Answers API requests; `rendered` gives a file's bytes, whose size and hash the answers name."""

    def __init__(
        self, collection: Collection, base_url: str, rendered: Callable[[PictureFile], Rendered]
    ) -> None:
        self._collection = collection
        self._base_url = base_url
        self._rendered = rendered
        self._index = SearchIndex(collection)

    def answer(self, asked: Mapping[str, str]) -> Answer:
        """The JSON object for a request's parameters; raises ApiError."""
        _refuse_lag(asked)
        action = asked.get("action", "help")
        if action != "query":
            raise ApiError("badvalue", f'Unrecognized value for parameter "action": {action}.')
        warnings: dict[str, str] = {}
        strangers = sorted(set(asked) - KNOWN_PARAMETERS)
        if strangers:
            ending = "s" if len(strangers) > 1 else ""
            warnings["main"] = f"Unrecognized parameter{ending}: {', '.join(strangers)}."
        answer = self._query(asked, warnings)
        if warnings:
            answer["warnings"] = {module: {"warnings": words} for module, words in warnings.items()}
        return answer if asked.get("formatversion", "1") in ("2", "latest") else as_version_1(answer)

    def _query(self, asked: Mapping[str, str], warnings: dict[str, str]) -> Answer:
        answer: Answer = {"batchcomplete": True}
        found: Answer = {}
        if "siteinfo" in _several(asked, "meta"):
            found["general"] = self._site()
        if "search" in _several(asked, "list"):
            files, further, total = self._search(asked, "sr", warnings)
            found["searchinfo"] = {"totalhits": total}
            found["search"] = [self._search_result(file) for file in files]
            if further is not None:
                answer["continue"] = {"sroffset": further, "continue": "-||"}
        if "categorymembers" in _several(asked, "list"):
            found["categorymembers"] = []
        generator = asked.get("generator")
        if generator not in (None, "search", "categorymembers"):
            raise ApiError("badvalue", f'Unrecognized value for parameter "generator": {generator}.')
        if generator == "search":
            files, further, _ = self._search(asked, "gsr", warnings)
            offset = _whole(asked, "gsroffset", 0)
            pages = [self._page(file, asked) | {"index": offset + n} for n, file in enumerate(files, 1)]
            if pages:
                # As on the real site, pages come by id and not by rank: `index` holds the rank.
                found["pages"] = sorted(pages, key=lambda page: int(page["pageid"]))
            if further is not None:
                answer["continue"] = {"gsroffset": further, "continue": "gsroffset||"}
        elif "titles" in asked or "pageids" in asked:
            found |= self._named_pages(asked)
        if found:
            answer["query"] = found
        return answer

    def _search(
        self, asked: Mapping[str, str], prefix: str, warnings: dict[str, str]
    ) -> tuple[Sequence[PictureFile], int | None, int]:
        """The files of one page of results, where the next page begins, and how many there are in all."""
        words = asked.get(f"{prefix}search", "")
        if not words.strip():
            raise ApiError("missingparam", f'The "{prefix}search" parameter must be set.')
        limit = MOST_RESULTS if asked.get(f"{prefix}limit") == "max" else _whole(asked, f"{prefix}limit", 10)
        if not 1 <= limit <= MOST_RESULTS:
            warnings["search"] = (
                f'The value "{limit}" for parameter "{prefix}limit" must be between 1 and 500.'
            )
            limit = min(MOST_RESULTS, max(1, limit))
        offset = _whole(asked, f"{prefix}offset", 0)
        if not 0 <= offset <= LAST_RESULT:
            raise ApiError(
                "badinteger", f'The value "{offset}" for parameter "{prefix}offset" is out of range.'
            )
        if FILE_NAMESPACE not in asked.get(f"{prefix}namespace", "0").split("|"):
            return [], None, 0
        hits = self._index.find(words, titles_only=asked.get(f"{prefix}what") in ("title", "nearmatch"))
        further = offset + limit if offset + limit < len(hits) else None
        return hits[offset : offset + limit], further, len(hits)

    def _named_pages(self, asked: Mapping[str, str]) -> Answer:
        pages: list[Answer] = []
        normalized: list[Answer] = []
        for title in _several(asked, "titles"):
            plain = title.replace("_", " ").strip()
            if plain != title:
                normalized.append({"fromencoded": False, "from": title, "to": plain})
            file = self._collection.by_title.get(plain)
            pages.append(self._page(file, asked) if file else {"ns": 6, "title": plain, "missing": True})
        for page_id in _several(asked, "pageids"):
            file = self._collection.by_page_id.get(int(page_id)) if page_id.isdecimal() else None
            pages.append(self._page(file, asked) if file else {"pageid": page_id, "missing": True})
        return ({"normalized": normalized} if normalized else {}) | {"pages": pages}

    def _page(self, file: PictureFile, asked: Mapping[str, str]) -> Answer:
        page: Answer = {"pageid": file.page_id, "ns": 6, "title": file.title}
        if "imageinfo" in _several(asked, "prop"):
            page["imagerepository"] = "local"
            page["imageinfo"] = [self._image(file, asked)]
        if "revisions" in _several(asked, "prop"):
            text = {"contentmodel": "wikitext", "contentformat": "text/x-wiki", "content": wikitext(file)}
            page["revisions"] = [{"slots": {"main": text}}]
        return page

    def _image(self, file: PictureFile, asked: Mapping[str, str]) -> Answer:
        wanted = _several(asked, "iiprop") or ["timestamp", "user"]
        rendered = self._rendered(file)
        parts: dict[str, Answer] = {
            "timestamp": {"timestamp": f"{file.uploaded:%Y-%m-%dT%H:%M:%SZ}"},
            "user": {"user": file.artist},
            "size": {"size": len(rendered.body), "width": rendered.width, "height": rendered.height},
            "url": self._addresses(file, rendered, asked),
            "sha1": {"sha1": rendered.sha1},
            "mime": {"mime": file.mime},
            "mediatype": {"mediatype": "DRAWING" if file.mime == "image/svg+xml" else "BITMAP"},
            "extmetadata": {"extmetadata": image_description(file, self._base_url)},
        }
        only = _several(asked, "iiextmetadatafilter")
        if only:
            described = parts["extmetadata"]["extmetadata"]
            parts["extmetadata"] = {
                "extmetadata": {name: described[name] for name in only if name in described}
            }
        image: Answer = {}
        for name, part in parts.items():
            if name in wanted:
                image |= part
        return image

    def _addresses(self, file: PictureFile, rendered: Rendered, asked: Mapping[str, str]) -> Answer:
        """As on Commons, thumburl is of the next standard width, yet thumbwidth is the width that was asked for."""
        found: Answer = {}
        width = _whole(asked, "iiurlwidth", -1)
        if width > 0:
            drawing = file.mime == "image/svg+xml"
            shown = width if drawing else min(width, rendered.width)
            step = thumbnail_step(width)
            whole = step >= rendered.width and not drawing
            found["thumburl"] = self._base_url + (file.original_path if whole else file.thumbnail_path(step))
            found["thumbwidth"] = shown
            found["thumbheight"] = max(1, round(rendered.height * shown / rendered.width))
        return found | {
            "url": self._base_url + file.original_path,
            "descriptionurl": self._base_url + file.page_path,
            "descriptionshorturl": f"{self._base_url}/w/index.php?curid={file.page_id}",
        }

    def _search_result(self, file: PictureFile) -> Answer:
        return {
            "ns": 6,
            "title": file.title,
            "pageid": file.page_id,
            "size": len(file.description.encode()),
            "wordcount": len(file.description.split()),
            "snippet": file.description,
            "timestamp": f"{file.uploaded:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _site(self) -> Answer:
        return {
            "mainpage": "Main Page",
            "base": f"{self._base_url}/wiki/Main_Page",
            "sitename": "The rehearsal's picture site",
            "generator": "MediaWiki 1.45.0",
            "case": "first-letter",
            "lang": "en",
            "server": self._base_url,
            "articlepath": "/wiki/$1",
            "scriptpath": "/w",
            "wikiid": "commonswiki",
        }


def as_version_1(part: Any) -> Any:
    """An answer of format version 2 in version 1: true is an empty string, false is absent, pages are keyed."""
    if isinstance(part, list):
        return [as_version_1(one) for one in part]
    if not isinstance(part, dict):
        return part
    older: Answer = {
        name: "" if value is True else as_version_1(value)
        for name, value in part.items()
        if value is not False
    }
    if isinstance(part.get("pages"), list):
        missing = iter(range(-1, -1 - len(part["pages"]), -1))
        older["pages"] = {
            str(next(missing) if "missing" in page and "title" in page else page["pageid"]): page
            for page in older["pages"]
        }
    if isinstance(part.get("warnings"), dict):
        older["warnings"] = {module: {"*": words["warnings"]} for module, words in part["warnings"].items()}
    return older


def _several(asked: Mapping[str, str], name: str) -> list[str]:
    return [value for value in asked.get(name, "").split("|") if value]


def _whole(asked: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(asked.get(name, default))
    except ValueError as error:
        raise ApiError(
            "badinteger", f'Invalid value "{asked[name]}" for integer parameter "{name}".'
        ) from error


def _refuse_lag(asked: Mapping[str, str]) -> None:
    """The site never lags, so only a negative maxlag is refused, as clients' tests do it on real wikis."""
    if "maxlag" in asked and _whole(asked, "maxlag", 0) < 0:
        raise ApiError("maxlag", "Waiting for loopback: 0 seconds lagged.", host="loopback", lag=0, type="db")
