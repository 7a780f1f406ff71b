"""The limits applied to requests: before anything is looked up, and after an answer that found nothing."""

from __future__ import annotations

import json
import re

from aiohttp import web

from ..codec import CONTENT_TYPE
from .visits import MARKETPLACE, Handler, visitor_of

# What can be guessed at; pictures that are gone are nobody's guess.
_GUARDED = (
    "/invitation/",
    "/hits/",
    "/assignments/",
    "/frame/",
    "/mturk/",
    "/files/",
    "/requester",
    "/panel/",
)
_SIGNING_IN = ("/invitation/", "/requester/enter/", "/requester/sign-in", "/panel/")
_MISSES = frozenset({401, 403, 404})
_KEY = re.compile(r"Credential=([^/,\s]{1,128})/")


@web.middleware
async def limiting(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 429 (the API: ThrottlingException, which boto3 retries) to those who ask too often or guess."""
    calling = request.method == "POST" and request.path == "/"
    if not calling and not request.path.startswith(_GUARDED):
        return await handler(request)
    limits, visitor = request.config_dict[MARKETPLACE].limits, visitor_of(request)
    wait = limits.misses.wait(visitor)
    if not wait and calling:
        found = _KEY.search(request.headers.get("Authorization", ""))
        # By address too: nobody uses up another's limit by naming her key.
        wait = limits.calls.take(f"{visitor} {found[1] if found else ''}")
    elif not wait and request.method == "POST" and request.path.startswith(_SIGNING_IN):
        wait = limits.sign_ins.take(visitor)
    if wait:
        return _too_often(wait, calling)
    try:
        response = await handler(request)
    except web.HTTPException as error:
        if error.status in _MISSES:
            limits.misses.take(visitor)
        raise
    if response.status in _MISSES:
        limits.misses.take(visitor)
    return response


def _too_often(wait: int, calling: bool) -> web.Response:
    headers = {"Retry-After": str(wait), "Cache-Control": "no-store"}
    if not calling:
        text = f"That was too often. Please wait {wait} seconds and try again."
        return web.Response(status=429, headers=headers, text=text)
    refusal = {"__type": "ThrottlingException", "message": "Rate exceeded", "Message": "Rate exceeded"}
    headers["x-amzn-errortype"] = "ThrottlingException"
    return web.Response(status=400, headers=headers, body=json.dumps(refusal), content_type=CONTENT_TYPE)
