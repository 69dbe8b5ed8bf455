"""The files that a call comes to: copied while the records are still read that say how its predictions ended."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from adapters.errors import ApiError
from adapters.wire.images import ImageFile
from adapters.wire.replicate import Prediction
from gateway.calls import AnyCall
from gateway.keeping import Copies

Choose = Callable[[Sequence[Prediction]], Sequence[str]]
"""The addresses that a kind takes out of predictions; raises what a failed one means."""


async def gathered(call: AnyCall, choose: Choose) -> tuple[list[Prediction], list[ImageFile]]:
    """Every prediction at its end, and copies of the files chosen of them. Whatever was copied ahead, the records
    decide. Raises ApiError."""
    async with Copies(call.gateway.outputs) as copies:
        copies.begin(_likely(call, choose))
        await call.heard()
        copies.begin(_likely(call, choose))
        predictions = await call.finished()
        return predictions, await copies.kept(choose(predictions))


def _likely(call: AnyCall, choose: Choose) -> Sequence[str]:
    with suppress(ApiError):
        return choose(call.likely)
    return ()
