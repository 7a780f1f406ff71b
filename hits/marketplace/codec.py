"""The server's half of AWS JSON 1.1 over botocore's published service model: requests in, answers out.

botocore holds the client halves only, and its own validator passes over maxima, enums and patterns; here every
constraint of the model is checked. Members that the model does not know are ignored, as the service did.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

from botocore.loaders import Loader
from botocore.model import ListShape, OperationModel, ServiceModel, Shape, StructureShape

from ..errors import HitsError, RequestRefused

SERVICE = "mturk"
API_VERSION = "2017-01-17"
CONTENT_TYPE = "application/x-amz-json-1.1"
_INTEGER_BITS = {"integer": 32, "long": 64}


class ProtocolError(HitsError):
    """A request failed before any operation saw it: `code` is the AWS error type, `status` the HTTP status."""

    def __init__(self, message: str, code: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@lru_cache(maxsize=1)
def service_model() -> ServiceModel:
    """The MTurk Requester service, version 2017-01-17, as botocore publishes it."""
    return ServiceModel(Loader().load_service_model(SERVICE, "service-2", API_VERSION), SERVICE)


def operation_model(target: str) -> OperationModel:
    """The operation that an X-Amz-Target header names; raises ProtocolError for any other text."""
    prefix, _, name = target.partition(".")
    model = service_model()
    if prefix != model.metadata["targetPrefix"] or name not in model.operation_names:
        raise ProtocolError(
            f"no such operation: {target or '(no X-Amz-Target)'}", "UnknownOperationException"
        )
    return model.operation_model(name)


def parse_request(operation: OperationModel, body: bytes) -> dict[str, Any]:
    """The members of a request, by their names in the model, checked against all its constraints.

    Raises ProtocolError for what is not a JSON object, RequestRefused (InvalidParameterValue) for values that the
    model forbids. Timestamps come out as aware datetimes; null counts as absent.
    """
    try:
        document = json.loads(body.decode("utf-8") or "{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the request's body is not JSON", "SerializationException") from error
    if not isinstance(document, dict):
        raise ProtocolError("the request's body is not a JSON object", "SerializationException")
    shape = operation.input_shape
    if shape is None:
        return {}
    parsed: dict[str, Any] = _parse(shape, document, "")
    return parsed


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _refuse(path: str, problem: str) -> NoReturn:
    raise RequestRefused(f"{path or 'the request'} {problem}", "InvalidParameterValue")


def _parse(shape: Shape, value: Any, path: str) -> Any:
    return _PARSERS[shape.type_name](shape, value, path)


def _parse_structure(shape: StructureShape, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(path, "must be an object")
    for name in shape.required_members:
        if value.get(name) is None:
            _refuse(f"{path}.{name}".lstrip("."), "is required")
    return {
        name: _parse(member, value[name], f"{path}.{name}".lstrip("."))
        for name, member in shape.members.items()
        if value.get(name) is not None
    }


def _parse_list(shape: ListShape, value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        _refuse(path, "must be a list")
    _check_bounds(shape, len(value), path, "entries")
    return [_parse(shape.member, member, f"{path}[{index}]") for index, member in enumerate(value)]


def _parse_string(shape: Shape, value: Any, path: str) -> str:
    if not isinstance(value, str):
        _refuse(path, "must be a string")
    if not _is_text(value):
        _refuse(path, "holds characters that are not text")
    _check_bounds(shape, len(value), path, "characters")
    allowed = getattr(shape, "enum", None)
    if allowed and value not in allowed:
        _refuse(path, f"must be one of {', '.join(allowed)}")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        _refuse(path, f"must match {pattern}")
    return value


def _is_text(value: str) -> bool:
    """Whether a store and XML can hold it: no NUL, no halves of surrogate pairs."""
    try:
        # Far faster than a regular expression, and a question has tens of thousands of letters.
        return b"\x00" not in value.encode()
    except UnicodeEncodeError:
        return False


def _parse_integer(shape: Shape, value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(path, "must be a whole number")
    if not -(2 ** (_INTEGER_BITS[shape.type_name] - 1)) <= value < 2 ** (_INTEGER_BITS[shape.type_name] - 1):
        _refuse(path, "is out of range")
    _check_bounds(shape, value, path, "")
    return value


def _parse_boolean(shape: Shape, value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        _refuse(path, "must be true or false")
    return value


def _parse_timestamp(shape: Shape, value: Any, path: str) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        _refuse(path, "must be a time in seconds since 1970")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise RequestRefused(f"{path} is no time that a calendar has", "InvalidParameterValue") from error


def _check_bounds(shape: Shape, size: int, path: str, unit: str) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        _refuse(path, f"must be at least {least} {unit}".rstrip())
    if most is not None and size > most:
        _refuse(path, f"must be at most {most} {unit}".rstrip())


_PARSERS: Mapping[str, Callable[[Any, Any, str], Any]] = {
    "structure": _parse_structure,
    "list": _parse_list,
    "string": _parse_string,
    "integer": _parse_integer,
    "long": _parse_integer,
    "boolean": _parse_boolean,
    "timestamp": _parse_timestamp,
}


def serialise_answer(operation: OperationModel, answer: Mapping[str, Any]) -> bytes:
    """The JSON body of a successful answer; members that are None are left out, times are epoch seconds."""
    shape = operation.output_shape
    return json.dumps({} if shape is None else _serialise(shape, answer), ensure_ascii=False).encode()


def _serialise(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        unknown = value.keys() - shape.members.keys()
        if unknown:
            raise ValueError(f"{shape.name} has no members {sorted(unknown)}")
        return {
            name: _serialise(shape.members[name], member)
            for name, member in value.items()
            if member is not None
        }
    if isinstance(shape, ListShape):
        return [_serialise(shape.member, member) for member in value]
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    return value
