"""HIT layouts: pages with `${name}` in them, which a HIT's parameters fill."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from xml.etree.ElementTree import Element, SubElement, tostring

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ..database import surveying, writing
from ..errors import HitsError, RequestRefused
from .identifiers import new_entity_id
from .questions import HTML_NAMESPACE, LONGEST_QUESTION, clean_text
from .tables import layouts, requesters

_PARAMETER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_.-]*)\}")


def create_layout(
    engine: Engine, requester: str, name: str, html: str, frame_height: int, now: datetime
) -> str:
    """Keep a page as the layout of the requester with this name, and return its HITLayoutId; raises HitsError."""
    if not 1 <= len(name) <= 200 or not html.strip() or not 0 <= frame_height <= 99_999:
        raise HitsError("a layout needs a name of 1 to 200 characters, a page, and a height of 0 to 99,999")
    if len(html.encode()) > LONGEST_QUESTION:
        raise HitsError(f"the layout is {len(html.encode()):,} bytes long; the most is {LONGEST_QUESTION:,}")
    layout_id = new_entity_id()
    with writing(engine) as connection:
        requester_id = connection.scalar(
            sa.select(requesters.c.requester_id).where(requesters.c.name == requester)
        )
        if requester_id is None:
            raise HitsError(f"there is no requester {requester!r}")
        connection.execute(
            layouts.insert().values(
                layout_id=layout_id,
                requester_id=requester_id,
                name=name,
                html=html,
                frame_height=frame_height,
                created_at=now,
            )
        )
    return layout_id


def list_layouts(engine: Engine, requester: str) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """A requester's layouts: id, name, and the names of their parameters; oldest first."""
    with surveying(engine) as connection:
        rows = connection.execute(
            sa.select(layouts)
            .select_from(layouts.join(requesters))
            .where(requesters.c.name == requester)
            .order_by(layouts.c.created_at, layouts.c.layout_id)
        )
        return tuple((row.layout_id, row.name, parameter_names(row.html)) for row in rows)


def parameter_names(html: str) -> tuple[str, ...]:
    """The parameters of a page, in the order in which they first stand there."""
    return tuple(dict.fromkeys(_PARAMETER.findall(html)))


def filled_question(
    connection: Connection, requester_id: str, layout_id: str, parameters: Mapping[str, str]
) -> str:
    """The layout's page with its parameters filled, as an HTMLQuestion.

    Values stand in the page as they are given, markup included: both are the requester's own. Raises
    RequestRefused: HITLayoutDoesNotExist, or InvalidParameterValue for parameters missing or unknown.
    """
    row = connection.execute(
        sa.select(layouts.c.html, layouts.c.frame_height).where(
            layouts.c.layout_id == layout_id, layouts.c.requester_id == requester_id
        )
    ).one_or_none()
    if row is None:
        raise RequestRefused(f"HIT layout {layout_id} does not exist", "HITLayoutDoesNotExist")
    wanted = set(parameter_names(row.html))
    for problem, names in (("needs", wanted - set(parameters)), ("has no", set(parameters) - wanted)):
        if names:
            raise RequestRefused(
                f"HIT layout {layout_id} {problem} parameter {', '.join(sorted(names))}",
                "InvalidParameterValue",
            )
    page = _PARAMETER.sub(lambda found: parameters[found[1]], row.html)
    root = Element("HTMLQuestion", {"xmlns": HTML_NAMESPACE})
    SubElement(root, "HTMLContent").text = clean_text(page)
    SubElement(root, "FrameHeight").text = str(row.frame_height)
    xml: str = tostring(root, encoding="unicode")
    return xml
