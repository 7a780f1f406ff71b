"""Files that came with forms: taken in from workers, and given out to requesters under addresses that end soon."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import IO
from urllib.parse import quote

from aiohttp import web
from aiohttp.web_request import FileField

from ..uploads import FILE, IncomingFile, Upload, find_upload, pieces
from ..workplace import held_question
from .rendering import protect
from .visits import MARKETPLACE, Marketplace

_LONGEST_NAME = 200


def incoming_files(form: Mapping[str, object]) -> dict[str, IncomingFile]:
    """The files of a posted form by field; a field without a chosen file comes without a name."""
    found = {}
    for field, value in form.items():
        if isinstance(value, FileField) and value.filename:
            found[field] = IncomingFile(_clean_name(value.filename), _size(value.file), value.file)
    return found


def _size(stream: IO[bytes]) -> int:
    stream.seek(0, 2)
    return stream.tell()


def _clean_name(name: str) -> str:
    """A file's name without folders and what cannot be printed."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[-_LONGEST_NAME:] or "file"


async def with_room(request: web.Request, least: int) -> web.Request:
    """The request, with room for as large files as the assignment in its address may send; for others `least` bytes."""
    assignment_id = request.query.get("assignmentId", "")
    if not assignment_id.isalnum() or len(assignment_id) > 64:
        return request
    found = await asyncio.to_thread(held_question, request.app[MARKETPLACE].engine, assignment_id)
    form = None if found is None else found[1].form
    return request if form is None else request.clone(client_max_size=least + form.upload_bytes)


async def give_file(request: web.Request) -> web.StreamResponse:
    """GET /files/{key}: a worker's file, never as a page: whatever it is, a browser stores it."""
    marketplace = request.app[MARKETPLACE]
    key, expires = request.match_info["key"], request.query.get("expires", "")
    if not marketplace.signed(request.query.get("proof", ""), FILE, key, expires):
        raise web.HTTPForbidden(text="this file's address is not valid; ask GetFileUploadURL for one")
    if marketplace.clock().timestamp() > int(expires):
        raise web.HTTPForbidden(text="this file's address was valid for 60 seconds; ask for another")
    upload = await asyncio.to_thread(find_upload, marketplace.engine, key)
    if upload is None:
        raise web.HTTPNotFound(text="this file is not kept any more")
    return await _stream(request, marketplace, upload)


async def _stream(request: web.Request, marketplace: Marketplace, upload: Upload) -> web.StreamResponse:
    name = quote(upload.name, safe="")
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
            "Content-Length": str(upload.size),
        }
    )
    protect(response, "default-src 'none'; sandbox")
    await response.prepare(request)
    content = pieces(marketplace.engine, upload)
    while (piece := await asyncio.to_thread(next, content, None)) is not None:
        await response.write(piece)
    await response.write_eof()
    return response
