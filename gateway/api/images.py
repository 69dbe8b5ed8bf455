"""POST /v1/images/generations, /edits and /variations."""

from typing import Any

from litestar import Response, post

from adapters.images import ImageAdapter
from adapters.wire.images import (
    ImageEditRequest,
    ImageRequest,
    ImagesResponse,
    ImageVariationRequest,
)
from gateway.api.endpoints import served
from gateway.api.replies import Frames
from gateway.api.requests import Asked
from gateway.calls import Call
from gateway.drawing import drawn, pictures
from gateway.relay import guarded, persisting


@post("/v1/images/generations", status_code=200)
async def create_image(request: Asked) -> Response[Any]:
    """Pictures drawn from a prompt, as URLs of ours or as base64."""
    return await served(request, ImageAdapter, ImageRequest, _whole, _pieces)


@post("/v1/images/edits", status_code=200)
async def edit_image(request: Asked) -> Response[Any]:
    """Pictures made of other pictures: edited, inpainted, enlarged, cut out, in another style."""
    return await served(request, ImageAdapter, ImageEditRequest, _whole, _pieces)


@post("/v1/images/variations", status_code=200)
async def vary_image(request: Asked) -> Response[Any]:
    """Pictures like the one that was sent."""
    return await served(request, ImageAdapter, ImageVariationRequest, _whole, _pieces)


async def _whole(call: Call[Any, ImageAdapter]) -> ImagesResponse:
    predictions, files = await pictures(call)
    return call.adapter.parse(call.plan.request, files, predictions, call.stamp(""))


def _pieces(call: Call[Any, ImageAdapter]) -> Frames:
    heartbeat = call.gateway.config.server.heartbeat_seconds
    return Frames(guarded(call, persisting(call, lambda: drawn(call, heartbeat))))
