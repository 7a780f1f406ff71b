"""Sources propose pictures for a category. Each is a class behind one Protocol, found by entry point."""

from __future__ import annotations

from .source import GROUP, FileSource, ScanningSource, Source, open_source, open_sources, require_contact

__all__ = [
    "GROUP",
    "FileSource",
    "ScanningSource",
    "Source",
    "open_source",
    "open_sources",
    "require_contact",
]
