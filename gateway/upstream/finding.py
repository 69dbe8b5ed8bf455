"""Models found by words, or in one of Replicate's collections; remembered for a moment."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from cachetools import TTLCache

from adapters.wire.replicate import ModelRef
from gateway.errors import NotFound, UnknownModel
from gateway.upstream.client import Upstream
from gateway.upstream.models import Model, Record

Found = tuple[Model, ...]
Question = tuple[str, str]
Ask = Callable[[], Coroutine[Any, Any, Sequence[Record]]]

_KEPT, _SECONDS = 512, 60.0


class Finding:
    """Asks Replicate once in a minute for the same, for all who want to know."""

    def __init__(self, upstream: Upstream, clock: Callable[[], float] = time.monotonic) -> None:
        self._upstream = upstream
        self._found: TTLCache[Question, Found] = TTLCache(_KEPT, _SECONDS, clock)
        self._flights: dict[Question, asyncio.Task[Found]] = {}

    async def search(self, words: str) -> Found:
        """The public models that Replicate finds by these words, the best first."""
        return await self._once(("search", words), partial(self._upstream.counted().search, words))

    async def collection(self, slug: str) -> Found:
        """The models of a collection. Raises NotFound."""
        try:
            return await self._once(("collection", slug), partial(self._upstream.counted().collection, slug))
        except UnknownModel:
            raise NotFound(f"Replicate has no collection `{slug}`.", param="collection") from None

    async def _once(self, question: Question, ask: Ask) -> Found:
        """The answer as it is remembered, as it is being asked for already, or else as `ask` gives it."""
        if (found := self._found.get(question)) is not None:
            return found
        if question not in self._flights:
            self._flights[question] = asyncio.create_task(self._asked(question, ask))
        # Shielded: whoever leaves takes the answer from nobody else.
        return await asyncio.shield(self._flights[question])

    async def _asked(self, question: Question, ask: Ask) -> Found:
        try:
            found = self._found[question] = _models(await ask())
        finally:
            del self._flights[question]
        return found


def _models(records: Sequence[Record]) -> Found:
    return tuple(Model.of(ModelRef(each.owner, each.name), each) for each in records)
