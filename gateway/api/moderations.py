"""POST /v1/moderations."""

from typing import Any

from litestar import Response, post

from adapters.moderations import ModerationAdapter
from adapters.wire.moderations import ModerationRequest, ModerationResponse
from gateway.api.endpoints import served
from gateway.api.requests import Asked
from gateway.calls import Call


@post("/v1/moderations", status_code=200)
async def create_moderation(request: Asked) -> Response[Any]:
    """A verdict on each text, or on texts and pictures together."""
    return await served(request, ModerationAdapter, ModerationRequest, _whole)


async def _whole(call: Call[ModerationRequest, ModerationAdapter]) -> ModerationResponse:
    predictions = await call.finished()
    return call.adapter.parse(call.plan.request, predictions, call.stamp("modr-"), call.plan.prepared)
