"""HTML answers: templates, the figures in them, and the headers that keep a page to itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..form_answers import read_answers
from ..settings import MarketplaceSettings

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
# A question may open an encyclopaedia beside it (an ordinary page then), but never act as this site.
QUESTION_SANDBOX = " ".join(
    (
        "allow-scripts",
        "allow-forms",
        "allow-popups",
        "allow-popups-to-escape-sandbox",
        "allow-top-navigation-by-user-activation",
    )
)


def dollars(cents: int) -> str:
    """Cents as people read them: $1,234.50."""
    return f"${cents // 100:,}.{cents % 100:02d}"


def duration(seconds: int) -> str:
    """A time allotted, in its two largest units: 1 hour 30 minutes."""
    parts = []
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(parts[:2]) or "0 seconds"


def moment(when: datetime) -> str:
    """A time as people read it; times of the marketplace are UTC."""
    return f"{when:%d %b %Y, %H:%M} UTC"


def answers(xml: str) -> list[tuple[str, tuple[str, ...]]]:
    """The fields of a submission with their values, in the order of the page."""
    return list(read_answers(xml).items())


def account(name: str, own: str) -> str:
    """An account of the ledger as the requester whose own is `own` reads it."""
    kind, _, holder = name.partition(":")
    if name == own:
        return "you"
    if kind in {"escrow", "study"}:
        return "on hold"
    return f"{kind} {holder}".strip()


def environment(settings: MarketplaceSettings) -> Environment:
    """The site's templates; everything that is put into them is escaped."""
    templates = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Templates do not change under a running server: nothing has to look.
        auto_reload=False,
    )
    templates.filters.update(
        dollars=dollars, duration=duration, moment=moment, answers=answers, account=account
    )
    templates.globals.update(settings=settings)
    return templates


def html(
    templates: Environment,
    template: str,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    frames: tuple[str, ...] = (),
    shown_in: str = "'none'",
    images: str = "'self'",
) -> web.Response:
    """A page of the site: it may show `frames`, and be shown in frames of `shown_in` only."""
    response = web.Response(
        text=templates.get_template(template).render(values), content_type="text/html", status=status
    )
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": images,
        "frame-src": " ".join(frames) or "'none'",
        "form-action": "'self'",
        "frame-ancestors": shown_in,
        "base-uri": "'none'",
    }
    protect(response, "; ".join(f"{name} {value}" for name, value in policy.items()))
    if shown_in == "'none'":
        response.headers["X-Frame-Options"] = "DENY"
    return response


def protect(response: web.StreamResponse, content_security_policy: str) -> None:
    """Set the headers that every page carries; what a signed-in person sees is kept in no cache."""
    response.headers["Content-Security-Policy"] = content_security_policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
