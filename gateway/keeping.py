"""Outputs kept: a prediction's files copied into our store before Replicate deletes them."""

import asyncio
from collections.abc import Sequence
from typing import Self

from adapters.wire.images import ImageFile
from gateway.together import ended, together
from gateway.upstream.outputs import Kept, Outputs


async def kept(outputs: Outputs, urls: Sequence[str]) -> list[ImageFile]:
    """Our copy of each file, in order, with its bytes and a signed link to it."""
    async with Copies(outputs) as copies:
        return await copies.kept(urls)


class Copies:
    """Copies of files that may be fetched before it is certain that they are wanted. Only those that are, are kept."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._begun: dict[str, asyncio.Task[bytes]] = {}

    def begin(self, urls: Sequence[str]) -> None:
        """These files are likely to be wanted."""
        for url in urls:
            if url not in self._begun:
                self._begun[url] = asyncio.create_task(self._outputs.fetch(url))

    async def kept(self, urls: Sequence[str]) -> list[ImageFile]:
        """Our copy of each file, in order, with its bytes and a signed link to it. Raises ApiError."""
        copies, link = await together(*map(self._copy, urls)), self._outputs.link
        return [ImageFile(url=link(copy), content_type=copy.content_type, content=copy.content) for copy in copies]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *end: object) -> None:
        await ended(*self._begun.values())

    async def _copy(self, url: str) -> Kept:
        begun = self._begun.get(url)
        # What failed before the file was known to be whole says nothing about it.
        if begun is None or (begun.done() and begun.exception()):
            return await self._outputs.keep(url)
        return await self._outputs.store(url, await begun)
