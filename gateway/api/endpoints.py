"""The story that every endpoint with a model behind it tells: who asks, for what, a call, an answer."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from litestar import Response

from adapters.errors import ApiError
from adapters.wire.base import Request
from gateway.api.attending import Attended
from gateway.api.dryrun import dry_run, wants_dry_run
from gateway.api.replies import Frames, reply, streamed, told
from gateway.api.requests import Asked, authenticated, client_left, decoded, gateway_of
from gateway.calls import Call
from gateway.filing import resolved
from gateway.plans import K

A = TypeVar("A")
R = TypeVar("R", bound=Request)


async def served(
    request: Asked,
    kind: type[K],
    wanted: type[R],
    whole: Callable[[Call[R, K]], Coroutine[Any, Any, object]],
    pieces: Callable[[Call[R, K]], Frames] | None = None,
) -> Response[Any]:
    """The reply to a request in JSON or a form: `whole`, or in `pieces` where it says `stream` and the endpoint can.

    `whole` gives a struct for JSON or a `Body`, and is cancelled when the client leaves. Raises ApiError.
    """
    gateway, caller = gateway_of(request), await authenticated(request)
    order = await resolved(gateway, caller.key, await decoded(request, wanted))
    if wants_dry_run(request):
        return await dry_run(gateway, caller, kind, order)
    call: Call[R, K] | None = None
    with Attended(request.receive):
        call = await Call.begin(gateway, caller, kind, order)
        if pieces and order.streams:
            return await streamed(call, pieces(call))
        async with call:
            answer = await persisted(call, whole)
        return reply(answer, told(call))
    raise client_left(call)


async def persisted(call: Call[R, K], whole: Callable[[Call[R, K]], Coroutine[Any, Any, A]]) -> A:
    """What `whole` gives, of a model that stands in where the one asked fails before it says anything."""
    while True:
        try:
            return await whole(call)
        except ApiError as error:
            if not await call.instead(error):
                raise
