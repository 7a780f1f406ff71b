"""The project's keys at marketplaces: a file that only its owner reads, one `[[requester]]` an endpoint."""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ProjectError
from .project import KEYS_NAME

if TYPE_CHECKING:
    from hits.requester import Requester

    from .project import Project

HEADER = "# Whoever reads this file can spend this requester's money. Do not commit or share it.\n"


@dataclass(frozen=True, slots=True)
class MarketplaceKeys:
    """The key pair with which this project signs its requests to one endpoint.

    `own` keys are those of the project's own marketplace, written by the program; others come from the user.
    """

    endpoint: str
    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    own: bool = False


def endpoint_of(project: Project, *, live: bool) -> str:
    """The endpoint that `--sandbox` or `--live` means. Raises ProjectError if none is set."""
    marketplace = project.settings.marketplace
    endpoint = (marketplace.live_endpoint if live else marketplace.endpoint).rstrip("/")
    if not endpoint:
        name = "live_endpoint" if live else "endpoint"
        raise ProjectError(
            f"no marketplace to publish on: set [marketplace] {name} in {project.folder}/imagenet-builder.toml"
        )
    return endpoint


def endpoints_with_keys(project: Project) -> set[str]:
    """The endpoints that the settings name and that this project can speak to."""
    marketplace = project.settings.marketplace
    named = {endpoint.rstrip("/") for endpoint in (marketplace.endpoint, marketplace.live_endpoint)}
    return named & {keys.endpoint for keys in _read_all(project.folder / KEYS_NAME)}


def requester(project: Project, endpoint: str) -> Requester:
    """Return a requester that speaks to `endpoint` with this project's keys; it has not called yet.

    Raises ProjectError if the project has no keys for it.
    """
    from hits.requester import connect

    keys = read_keys(project, endpoint)
    if keys is None:
        raise ProjectError(
            f"this project has no keys for {endpoint}: start its own marketplace with `imagenet-builder "
            f"marketplace serve`, or add a [[requester]] for that endpoint to {project.folder / KEYS_NAME}"
        )
    return connect(keys.endpoint, keys.access_key, keys.secret_key)


def read_keys(project: Project, endpoint: str) -> MarketplaceKeys | None:
    """The keys for `endpoint`, or None. Raises ProjectError for a file that is not a keys file."""
    return next((keys for keys in _read_all(project.folder / KEYS_NAME) if keys.endpoint == endpoint), None)


def write_keys(project: Project, keys: MarketplaceKeys) -> None:
    """Put `keys` into the project's keys file (0600) in place of older ones for that endpoint."""
    path = project.folder / KEYS_NAME
    kept = [known for known in _read_all(path) if known.endpoint != keys.endpoint]
    text = HEADER + "".join(_as_toml(known) for known in [*kept, keys])
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        beside.replace(path)
    except OSError as error:
        raise ProjectError(f"cannot write {path}: {error.strerror}") from error


def _read_all(path: Path) -> list[MarketplaceKeys]:
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
        return [
            MarketplaceKeys(
                str(entry["endpoint"]).rstrip("/"),
                str(entry["access_key"]),
                str(entry["secret_key"]),
                entry.get("own") is True,
            )
            for entry in written.get("requester", [])
        ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ProjectError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ProjectError(
            f"{path} is damaged: it needs [[requester]] entries with endpoint, access_key and secret_key"
        ) from error


def _as_toml(keys: MarketplaceKeys) -> str:
    # JSON's strings (without control characters) and booleans are also TOML's.
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in dataclasses.asdict(keys).items()]
    return "\n[[requester]]\n" + "".join(lines)
