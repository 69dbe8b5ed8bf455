"""POST /webhooks/replicate: Replicate's word that a prediction ended."""

from typing import Any

from litestar import Response, post

from gateway.api.replies import reply
from gateway.api.requests import Asked, body_of, gateway_of


@post("/webhooks/replicate", status_code=200)
async def receive_webhook(request: Asked) -> Response[Any]:
    """Wakes whoever waits for the prediction. Forged ones are refused, repeated and unknown ones are no error."""
    await gateway_of(request).webhooks.receive(request.headers, await body_of(request))
    return reply({"received": True})
