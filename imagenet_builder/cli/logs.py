"""Logging to stderr, as text for people or JSON lines for collectors."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

QUIET_LIBRARIES = (
    "alembic",
    "aiohttp.access",
    "asyncio",
    "botocore",
    "boto3",
    "urllib3",
    "matplotlib",
    "PIL",
)


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, and the fields given as `extra={"fields": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class PresentStderr(logging.Handler):
    """Writes to whatever stderr is at that moment: while bars are drawn on a terminal, to what writes above them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            self.handleError(record)


def speak_json() -> bool:
    """Whether logs are JSON lines."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def set_up_logging(*, verbose: bool, json_lines: bool) -> None:
    """Send this project's logs to stderr; libraries speak from WARNING up."""
    root = logging.getLogger()
    # A line of JSON must stay one, which what writes above bars does not promise.
    handler = logging.StreamHandler(sys.stderr) if json_lines else PresentStderr()
    handler.setFormatter(JsonLines() if json_lines else logging.Formatter("%(message)s"))
    root.handlers[:] = [handler]
    # What Python warns of is to be a line like any other.
    logging.captureWarnings(json_lines)
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
