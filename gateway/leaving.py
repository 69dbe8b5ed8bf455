"""What becomes of predictions nobody waits for any more: listened to until their end, or left to whoever finds it.

Those that are simply cancelled need nothing of this: they are ended as every prediction is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from adapters.errors import ApiError
from adapters.outputs import files_of
from adapters.wire.replicate import Prediction
from gateway.errors import ClientLeft, InternalError
from gateway.keeping import kept
from gateway.parts import Gateway
from gateway.runs import Run
from gateway.together import together


async def drained(
    gateway: Gateway, runs: Sequence[Run], finished: Callable[[], Awaitable[Sequence[Prediction]]]
) -> None:
    """These have ended, and their files are kept, as if the client were still there. Raises ApiError."""
    await together(*(run.create() for run in runs))
    await kept(gateway.outputs, [file for one in await finished() for file in files_of(one.output)])


async def detached(gateway: Gateway, runs: Sequence[Run]) -> bool:
    """Nobody listens on: whether any of these still runs, and is now somebody else's to settle. Raises ApiError."""
    await together(*(run.create() for run in runs))
    going = [run for run in runs if run.going]
    await gateway.ledger.let_go([run.entry for run in going])
    for run in going:
        run.closed = True
    return bool(going)


def as_error(end: BaseException) -> ApiError:
    """What a call ended with, as the books and the log tell it."""
    if isinstance(end, ApiError):
        return end
    if isinstance(end, asyncio.CancelledError | GeneratorExit):
        return ClientLeft("The client left.")
    return InternalError("The gateway failed; its log says why.")
