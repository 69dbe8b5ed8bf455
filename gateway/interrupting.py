"""Work that can be ended from outside: whoever does it gets the error then."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from adapters.errors import ApiError

T = TypeVar("T")


class Interruptible:
    """One piece of work at a time; between two of them there is nothing to interrupt."""

    def __init__(self) -> None:
        self._worker: asyncio.Task[object] | None = None
        self._interruption: ApiError | None = None

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What came of it. Raises the error that it was interrupted with."""
        self._worker = asyncio.current_task()
        try:
            return await work
        except asyncio.CancelledError:
            if self._interruption is None or self._worker is None:
                raise
            self._worker.uncancel()
            raise self._interruption from None
        finally:
            self._worker = None

    def interrupt(self, error: ApiError) -> bool:
        """Ends what is being done with this error; False if that is nothing."""
        if self._worker is None:
            return False
        self._interruption = error
        self._worker.cancel()
        return True
