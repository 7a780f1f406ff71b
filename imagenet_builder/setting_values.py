"""Values of settings: from TOML and from the environment to the types that their dataclasses have."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ProjectError

ENVIRONMENT_PREFIX = "IMAGENET_BUILDER_"


def read_section(
    path: Path, section: str, kind: type, written: Mapping[str, Any], environment: Mapping[str, str]
) -> Any:
    """Return the settings `kind` of a section as the file at `path` has them `written`, under the environment.

    Raises ProjectError for a name or a value that is none.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(written) - set(hints))
    if unknown:
        raise ProjectError(
            f"{path}: unknown setting {unknown[0]} in [{section}]; known are {', '.join(hints)}"
        )
    values: dict[str, Any] = {}
    for name, hint in hints.items():
        variable = f"{ENVIRONMENT_PREFIX}{section}_{name}".upper()
        if variable in environment:
            values[name] = _from_text(variable, environment[variable], hint)
        elif name in written:
            values[name] = _checked(f"{path}: [{section}] {name}", written[name], hint)
    return kind(**values)


def refuse_unknown_variables(kinds: Mapping[str, type], environment: Mapping[str, str]) -> None:
    """Raise ProjectError for a variable that begins as a section (name → its settings) does and names no setting."""
    known = {
        f"{ENVIRONMENT_PREFIX}{section}_{name}".upper()
        for section, kind in kinds.items()
        for name in typing.get_type_hints(kind)
    }
    for variable in environment:
        named = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        section = next((section for section in kinds if named.startswith(f"{section}_")), None)
        if variable.startswith(ENVIRONMENT_PREFIX) and section and variable not in known:
            raise ProjectError(f"the environment variable {variable} names no setting of [{section}]")


def _checked(where: str, value: Any, hint: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        if isinstance(value, list) and all(isinstance(element, str) for element in value):
            return tuple(value)
        raise ProjectError(f"{where} must be a list of strings, not {value!r}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, types.UnionType) or type(value) is not hint:
        raise ProjectError(f"{where} must be {_called(hint)}, not {value!r}")
    return value


def _from_text(variable: str, text: str, hint: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if hint is bool:
        if text.lower() in {"true", "1", "yes"}:
            return True
        if text.lower() in {"false", "0", "no"}:
            return False
        raise ProjectError(f"{variable} must be true or false, not {text!r}")
    try:
        return hint(text)
    except ValueError as error:
        raise ProjectError(f"{variable} must be {_called(hint)}, not {text!r}") from error


def _called(hint: Any) -> str:
    return {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}.get(
        hint, str(hint)
    )
