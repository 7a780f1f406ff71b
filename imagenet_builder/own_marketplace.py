"""This project's own marketplace: its store, its requester, its workers, and the server of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hits import database
from hits.marketplace import people
from hits.marketplace.settings import MarketplaceSettings
from hits.marketplace.tables import MIGRATIONS, SCHEMA

from .errors import ProjectError
from .marketplace_keys import MarketplaceKeys, endpoint_of, read_keys, write_keys
from .project import KEYS_NAME

if TYPE_CHECKING:
    import sqlalchemy as sa
    from aiohttp import web

    from hits.marketplace.people import WorkerSummary

    from .project import Project


@dataclass(frozen=True, slots=True)
class InvitedWorker:
    """A worker's name and the link with which that worker, and nobody else, signs in."""

    name: str
    url: str
    mailed: bool = False


def open_marketplace(project: Project) -> sa.Engine:
    """Open the marketplace's store, made and migrated if there is none yet.

    Raises DatabaseError, or SchemaMismatch if it is of another age than the program.
    """
    engine = database.open_engine(project.store_url(project.settings.marketplace.store))
    if database.current_revision(engine) is None:
        database.upgrade(engine, MIGRATIONS)
    database.require_schema(engine, SCHEMA)
    return engine


def own_keys(project: Project, engine: sa.Engine) -> MarketplaceKeys:
    """Return the keys of this project's requester at its own marketplace, made at first and kept in the file.

    The marketplace's store decides: older keys of its own in the file are replaced. Raises ProjectError if the
    file holds keys that the user has written for this endpoint: then it is not this marketplace's.
    """
    name = project.settings.project.name
    known = people.requester_keys(engine, name)
    if known is None:
        known = people.create_requester(engine, name, project.settings.marketplace.balance_cents)
    endpoint = endpoint_of(project, live=False)
    keys = MarketplaceKeys(endpoint, known.access_key, known.secret_key, own=True)
    written = read_keys(project, endpoint)
    if written is not None and not written.own:
        raise ProjectError(
            f"{project.folder / KEYS_NAME} has keys of another marketplace for {endpoint}; to use this "
            "project's own, take them out or give it another [marketplace] endpoint"
        )
    if written != keys:
        write_keys(project, keys)
    return keys


def keys_to_export(project: Project) -> MarketplaceKeys:
    """The keys for `[marketplace] endpoint`: those in the keys file, or else those of the own marketplace."""
    known = read_keys(project, endpoint_of(project, live=False))
    return known if known is not None else own_keys(project, open_marketplace(project))


def marketplace_settings(project: Project) -> MarketplaceSettings:
    """What the project's settings say of its marketplace. Raises HitsError for addresses that cannot be used."""
    ours = project.settings.marketplace
    return MarketplaceSettings(
        database_url=project.store_url(ours.store),
        public_url=ours.public_url,
        frame_url=ours.frame_url,
        contact=project.settings.project.contact,
        mail_folder=str(project.folder / ours.mail_folder) if ours.mail_folder else "",
        mail_server=ours.mail_server,
        mail_sender=ours.mail_sender,
        mail_user=ours.mail_user,
        mail_password=ours.mail_password,
        allow_destinations=ours.allow_destinations,
        sign_ins_per_minute=ours.sign_ins_per_minute,
        misses_per_minute=ours.misses_per_minute,
        pages_per_minute=ours.pages_per_minute,
        calls_per_second=ours.calls_per_second,
        trusted_proxies=ours.trusted_proxies,
    )


def create_app(project: Project) -> web.Application:
    """The worker site, the Requester API and this project's HIT pictures (`/pictures/`) in one server.

    Makes the store and the project's requester at first. Raises DatabaseError, HitsError, ImageStoreError
    and ProjectError.
    """
    from hits.marketplace import app as marketplace

    from . import pictures

    engine = open_marketplace(project)
    own_keys(project, engine)
    # Opened now: workers who are sent to pages without pictures are paid for nothing.
    _ = project.engine, project.images
    app = marketplace.create_app(marketplace_settings(project), engine=engine)
    app.add_subapp("/pictures/", pictures.create_app(project))
    return app


def listening_address(project: Project) -> tuple[str, int]:
    """Where the server listens unless told otherwise: the host and port of `[marketplace] endpoint`."""
    endpoint = urlsplit(endpoint_of(project, live=False))
    try:
        port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    except ValueError as error:
        raise ProjectError(f"[marketplace] endpoint {endpoint.geturl()!r} has no usable port") from error
    return endpoint.hostname or "127.0.0.1", port


def invite(project: Project, names: Sequence[str], *, more: int = 0) -> list[InvitedWorker]:
    """Invite workers by name, and `more` that get names of their own; an older link of a name stops working.

    Those written as `Ada <ada@example.org>` are sent their links; the addresses are kept nowhere. Raises
    DeliveryFailed for the first that cannot be sent: those before it are invited.
    """
    from hits.marketplace.mail import Mailer, send_invitation
    from hits.marketplace.settings import utc_now

    engine = open_marketplace(project)
    settings = marketplace_settings(project)
    mailer = Mailer.of(settings)
    recipients = dict(_addressed(name) for name in names)
    if any(recipients.values()) and not mailer.ready:
        raise ProjectError("no invitation can be mailed: set [marketplace] mail_server or mail_folder")
    names = list(recipients)
    taken = {worker.pseudonym for worker in people.list_workers(engine)} | set(names)
    chosen = list(names)
    number = 0
    while len(chosen) < len(names) + more:
        number += 1
        if f"worker-{number}" not in taken:
            chosen.append(f"worker-{number}")
    invited = []
    for name in chosen:
        invitation = people.invite(engine, name)
        recipient = recipients.get(name, "")
        if recipient:
            send_invitation(mailer, settings, invitation, recipient, utc_now())
        url = people.invitation_url(settings, invitation.token)
        invited.append(InvitedWorker(invitation.pseudonym, url, mailed=bool(recipient)))
    return invited


def _addressed(name: str) -> tuple[str, str]:
    """A worker's name, and the e-mail address if it is written as `Ada <ada@example.org>`."""
    pseudonym, address = parseaddr(name)
    return (pseudonym, address) if pseudonym and "@" in address else (name, "")


def workers(project: Project) -> tuple[WorkerSummary, ...]:
    """The marketplace's workers and what they have done."""
    return people.list_workers(open_marketplace(project))


def console_link(project: Project) -> str:
    """A link that signs this project's requester in at the console, once; raises HitsError."""
    from hits.marketplace import console_access
    from hits.marketplace.settings import utc_now

    engine = open_marketplace(project)
    own_keys(project, engine)
    settings = marketplace_settings(project)
    return console_access.console_link(engine, settings, project.settings.project.name, utc_now())


def make_layout(project: Project, page: Path, name: str, frame_height: int) -> str:
    """Make a HIT layout of this project's requester from a file, and return its id; raises HitsError."""
    from hits.marketplace.layouts import create_layout
    from hits.marketplace.settings import utc_now

    engine = open_marketplace(project)
    own_keys(project, engine)
    try:
        html = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"cannot read the page {page}: {error}") from error
    return create_layout(engine, project.settings.project.name, name, html, frame_height, utc_now())
