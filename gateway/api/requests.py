"""What every handler asks of a request: who sent it, its body, and whether the client is still there."""

from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import anyio
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from litestar.types import Receive

from gateway.api.identity import request_id
from gateway.calls import Caller
from gateway.errors import ClientLeft
from gateway.parts import Gateway

T = TypeVar("T")
Asked = Request[Any, Any, State]


def gateway_of(request: Asked) -> Gateway:
    """The parts this app was created with."""
    return cast(Gateway, request.app.state["gateway"])


async def authenticated(request: Asked) -> Caller:
    """Whoever holds the key in `Authorization`, or in `x-api-key` where that is all a client sends.

    Raises MissingKey, InvalidKey.
    """
    headers = request.headers
    authorization = headers.get("authorization")
    if not authorization and (bare := headers.get("x-api-key") or headers.get("api-key")):
        authorization = f"Bearer {bare}"
    key = await gateway_of(request).keys.authenticate(authorization)
    return Caller(key, request.scope["path"], request_id(request.scope))


async def body_of(request: Asked) -> bytes:
    """All of its body. Raises ClientLeft where that ends too early."""
    try:
        return await request.body()
    except InternalServerException:
        raise ClientLeft("The client left before it had sent its request.") from None


async def attended(request: Asked, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns; it is cancelled as soon as its client hangs up, and ClientLeft raised."""
    done: list[T | Exception] = []
    async with anyio.create_task_group() as group:
        group.start_soon(cancelled_with_client, request.receive, group.cancel_scope)
        try:
            done.append(await work)
        except Exception as error:  # noqa: BLE001 - raised below, outside the group that would wrap it
            done.append(error)
        group.cancel_scope.cancel()
    if not done:
        raise ClientLeft("The client left.")
    if isinstance(done[0], Exception):
        raise done[0]
    return done[0]


async def cancelled_with_client(receive: Receive, scope: anyio.CancelScope) -> None:
    """Waits for the client to hang up, then cancels the scope."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
