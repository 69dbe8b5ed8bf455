"""POST /v1/images/generations."""

from typing import Any

from litestar import Response, post

from adapters.images import ImageAdapter
from adapters.wire.base import decode
from adapters.wire.images import ImageRequest
from gateway.api.dryrun import dry_run, wants_dry_run
from gateway.api.replies import reply, told
from gateway.api.requests import Asked, attended, authenticated, body_of, gateway_of
from gateway.calls import Call
from gateway.keeping import kept


@post("/v1/images/generations", status_code=200)
async def create_image(request: Asked) -> Response[Any]:
    """Pictures drawn from a prompt, as URLs of ours or as base64."""
    gateway, caller = gateway_of(request), await authenticated(request)
    order = decode(await body_of(request), ImageRequest)
    if wants_dry_run(request):
        return await dry_run(gateway, caller, ImageAdapter, order)
    call = await attended(request, Call.begin(gateway, caller, ImageAdapter, order))
    async with call:
        predictions = await attended(request, call.finished())
        files = await attended(
            request, kept(gateway.outputs, call.adapter.files(order, predictions, call.plan.prepared))
        )
        answer = call.adapter.parse(order, files, predictions, call.stamp(""))
    return reply(answer, told(call))
