"""Work done side by side: where one part fails, the others end with it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """What each returned, in order. Raises what the first failure raised, once none of them runs any more."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await ended(*tasks)


async def outcomes(*work: Coroutine[Any, Any, T]) -> list[T | BaseException]:
    """What each returned, or raised, in order: a failure keeps no other from its end."""
    if len(work) > 1:
        return await asyncio.gather(*work, return_exceptions=True)
    try:
        return [await each for each in work]
    except Exception as end:  # noqa: BLE001 - as gather does it
        return [end]


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancels what still runs, and waits until it has ended; how it ended is nobody's concern any more."""
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    if going := [task for task in tasks if not task.done()]:
        await asyncio.wait(going)
    for task in tasks:
        if not task.cancelled():
            task.exception()
