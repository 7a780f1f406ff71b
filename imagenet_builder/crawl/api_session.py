"""The HTTP session of sources that ask documented APIs, opened when the first of them asks."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from imagenet_builder.config import ProjectSettings

from .politeness import user_agent

if TYPE_CHECKING:
    import aiohttp

API_SECONDS = 60.0


class ApiSession:
    """Stands for an aiohttp.ClientSession: lists and folders never ask for one, and importing it takes longest of all.

    Addresses of APIs come from the settings: the address guard is not for them. Used as an async context manager.
    """

    def __init__(self, project: ProjectSettings) -> None:
        self._agent = user_agent(project)
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> aiohttp.ClientSession:
        return cast("aiohttp.ClientSession", self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.close()

    def __getattr__(self, name: str) -> Any:
        """What the session has under `name`."""
        if self._opened is None:
            import aiohttp

            self._opened = aiohttp.ClientSession(
                headers={"User-Agent": self._agent}, timeout=aiohttp.ClientTimeout(total=API_SECONDS)
            )
        return getattr(self._opened, name)
