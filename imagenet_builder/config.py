"""Settings: `imagenet-builder.toml` < environment < flags; one frozen dataclass a stage.

A setting `per_category` of section `[crawl]` is read from the environment as
`IMAGENET_BUILDER_CRAWL_PER_CATEGORY`. Unknown names are errors, so that a misspelt limit is not no limit.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ProjectError
from .setting_values import read_section, refuse_unknown_variables

SETTINGS_NAME = "imagenet-builder.toml"
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost):(?P<port>\d+)")


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """Who collects, and why: sent with every request to other people's servers."""

    name: str = "my-dataset"
    contact: str = ""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the store is: `sqlite:///store.sqlite3` (relative to the project) or a PostgreSQL URL."""

    url: str = "sqlite:///store.sqlite3"


@dataclass(frozen=True, slots=True)
class ImagesSettings:
    """Where image bytes are: a folder relative to the project, or s3://…, gs://…, az://…."""

    url: str = "images"


@dataclass(frozen=True, slots=True)
class WordnetSettings:
    """Where WordNet 3.0 is (empty: found by itself) and which subtrees are left out unless named.

    Words of `languages` (BCP 47) are sought too where NLTK has the Open Multilingual WordNet: ImageNet's own four.
    """

    folder: str = ""
    exclude: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("zh", "es", "nl", "it")


@dataclass(frozen=True, slots=True)
class CrawlSettings:
    """What is fetched and how gently. Sizes in pixels and bytes, times in seconds.

    A query is not asked on when of at least `drop_after` results (0: never) the share `drop_share` was of no use.
    `connections` and `bytes_in_flight` are of each process that fetches: with `executor` ray, of each worker.
    """

    sources: tuple[str, ...] = ("wikimedia",)
    per_category: int = 500
    drop_after: int = 100
    drop_share: float = 0.95
    licences: tuple[str, ...] = ("cc0", "pd", "by", "by-sa")
    connections: int = 32
    per_host: int = 4
    host_delay: float = 0.0
    timeout: float = 30.0
    attempts: int = 3
    max_bytes: int = 30_000_000
    bytes_in_flight: int = 256_000_000
    disk_quota: int = 0
    exclude: tuple[str, ...] = ()
    min_side: int = 100
    max_side: int = 20_000
    max_aspect: float = 5.0
    allow_addresses: tuple[str, ...] = ()
    metrics: str = ""
    executor: str = "local"
    fresh_days: int = 30


@dataclass(frozen=True, slots=True)
class RaySettings:
    """The cluster of `crawl --executor ray`: its address (empty: RAY_ADDRESS, else one started on this machine).

    `workers` each take one processor; 0 means as many as there are processors.
    """

    address: str = ""
    workers: int = 0


@dataclass(frozen=True, slots=True)
class WikimediaSettings:
    """The MediaWiki to ask; `width` is the standard width fetched in place of larger originals.

    Its categories of a synset's words are walked `category_depth` levels down (below 0: not at all).
    """

    endpoint: str = "https://commons.wikimedia.org/w/api.php"
    width: int = 960
    search_text: bool = False
    category_depth: int = 1


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """A folder of the user's own pictures: one subfolder a category, named by wnid, name or word."""

    path: str = ""
    licence: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class UrlListSettings:
    """Lists of picture addresses: CSV, Parquet or one address a line; files of this machine, or s3://….

    Columns are found whatever their case. `licence` is what rows tell that have no licence of their own.
    """

    paths: tuple[str, ...] = ()
    url_column: str = "url"
    caption_column: str = "caption"
    wnid_column: str = "wnid"
    licence_column: str = "license"
    author_column: str = "author"
    page_column: str = "page"
    licence: str = ""


@dataclass(frozen=True, slots=True)
class OpenverseSettings:
    """The Openverse API; with the id and secret of a registered application it gives more, faster."""

    endpoint: str = "https://api.openverse.org"
    client_id: str = ""
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class InaturalistSettings:
    """The iNaturalist API, or its open-data `dump` (a folder or s3://…) for large runs.

    `size` is small (240 pixels), medium (500), large (1024) or original.
    """

    endpoint: str = "https://api.inaturalist.org/v1"
    size: str = "large"
    quality: str = "research"
    dump: str = ""


@dataclass(frozen=True, slots=True)
class FlickrSettings:
    """The Flickr API, which needs a key; `width` is about that of the size fetched, in pixels."""

    endpoint: str = "https://api.flickr.com/services/rest/"
    key: str = field(default="", repr=False)
    width: int = 1024


@dataclass(frozen=True, slots=True)
class WebPageSettings:
    """Pages and sitemaps to take pictures from: `"https://…"`, or `"n02084071 https://…"` for one category."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()
    licence: str = ""


@dataclass(frozen=True, slots=True)
class MarketplaceSettings:
    """Where HITs go. `endpoint` speaks the MTurk API; the rest describes the marketplace that `serve` runs.

    `public_url` is how workers reach the site; `frame_url` must be another *hostname* for the same
    server, because cookies ignore ports; `pictures_url` is where HIT pictures are served. What is not set of the
    three is on this machine, at the port of `endpoint` where that is on it too. E-mail goes through
    `mail_server` (`smtp://host:25`, `smtps://host:465`) or as files into `mail_folder`; notifications go to public
    addresses and to `allow_destinations` (`host:port`). Limits are those of `hits.marketplace.settings`.
    """

    endpoint: str = "http://127.0.0.1:8700"
    live_endpoint: str = ""
    store: str = "sqlite:///marketplace.sqlite3"
    public_url: str = ""
    frame_url: str = ""
    pictures_url: str = ""
    balance_cents: int = 1_000_000
    mail_folder: str = ""
    mail_server: str = ""
    mail_sender: str = "marketplace@localhost"
    mail_user: str = ""
    mail_password: str = field(default="", repr=False)
    allow_destinations: tuple[str, ...] = ()
    sign_ins_per_minute: int = 60
    misses_per_minute: int = 60
    pages_per_minute: int = 600
    calls_per_second: int = 100
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")

    def __post_init__(self) -> None:
        here = _LOOPBACK.match(self.endpoint)
        port = here["port"] if here else "8700"
        addresses = {
            "public_url": f"http://127.0.0.1:{port}",
            "frame_url": f"http://localhost:{port}",
            "pictures_url": f"http://127.0.0.1:{port}/pictures",
        }
        for name, address in addresses.items():
            object.__setattr__(self, name, getattr(self, name) or address)


@dataclass(frozen=True, slots=True)
class VerificationSettings:
    """What people are asked and paid. Times in seconds; `pay_per_hour_cents` is the floor for rewards.

    Pages of `sensitive` categories (wnid or name), and of those below them, warn and blur their pictures. With an
    `entrance_test` (a file: QuestionForm) and its `entrance_answers` (AnswerKey), pages are for who scores at least
    `entrance_score`.
    """

    votes: int = 3
    rule: str = "majority"
    page_size: int = 48
    controls: int = 6
    pay_per_hour_cents: int = 1500
    seconds_per_picture: float = 1.5
    budget_cents: int = 0
    ignore_excluded: bool = True
    rounds: bool = False
    target: float = 0.9
    most_votes: int = 5
    mean_votes: float = 0.0
    thumbnail_side: int = 300
    assignment_duration: int = 3600
    lifetime: int = 14 * 86400
    auto_approval_delay: int = 3 * 86400
    metrics: str = ""
    sensitive: tuple[str, ...] = ()
    entrance_test: str = ""
    entrance_answers: str = ""
    entrance_score: int = 80


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Pictures a class: `val` and `test` exactly, train between `min_train` and `max_train`."""

    val: int = 50
    test: int = 100
    min_train: int = 100
    max_train: int = 1300


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a project."""

    project: ProjectSettings = field(default_factory=ProjectSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    images: ImagesSettings = field(default_factory=ImagesSettings)
    wordnet: WordnetSettings = field(default_factory=WordnetSettings)
    crawl: CrawlSettings = field(default_factory=CrawlSettings)
    ray: RaySettings = field(default_factory=RaySettings)
    wikimedia: WikimediaSettings = field(default_factory=WikimediaSettings)
    folder: FolderSettings = field(default_factory=FolderSettings)
    url_list: UrlListSettings = field(default_factory=UrlListSettings)
    openverse: OpenverseSettings = field(default_factory=OpenverseSettings)
    inaturalist: InaturalistSettings = field(default_factory=InaturalistSettings)
    flickr: FlickrSettings = field(default_factory=FlickrSettings)
    web_page: WebPageSettings = field(default_factory=WebPageSettings)
    marketplace: MarketplaceSettings = field(default_factory=MarketplaceSettings)
    verification: VerificationSettings = field(default_factory=VerificationSettings)
    export: ExportSettings = field(default_factory=ExportSettings)


def load_settings(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings file at `path` and overlay the environment.

    Raises ProjectError with the file, the section and the name for anything that is not a setting.
    """
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProjectError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path} is not valid TOML: {error}") from error
    kinds = typing.get_type_hints(Settings)
    unknown = sorted(set(written) - set(kinds))
    if unknown:
        raise ProjectError(f"{path}: unknown section [{unknown[0]}]; known are {', '.join(kinds)}")
    refuse_unknown_variables(kinds, environment)
    sections: dict[str, Any] = {}
    for name, kind in kinds.items():
        if not isinstance(written.get(name, {}), dict):
            raise ProjectError(f"{path}: {name} must be a section [{name}]")
        sections[name] = read_section(path, name, kind, written.get(name, {}), environment)
    if sections["store"].url == sections["marketplace"].store:
        raise ProjectError(
            f"{path}: [store] url and [marketplace] store are the same place; give each a database of its own"
        )
    return Settings(**sections)


def override(settings: Settings, section: str, **flags: Any) -> Settings:
    """Return `settings` with the given flags in `section`; flags that are None were not given."""
    given = {name: value for name, value in flags.items() if value is not None}
    changed = dataclasses.replace(getattr(settings, section), **given)
    return dataclasses.replace(settings, **{section: changed})
