"""POST /v1/embeddings."""

from typing import Any

from litestar import Response, post

from adapters.embeddings import EmbeddingAdapter
from adapters.wire.embeddings import EmbeddingRequest, EmbeddingResponse
from gateway.api.endpoints import served
from gateway.api.requests import Asked
from gateway.calls import Call


@post("/v1/embeddings", status_code=200)
async def create_embedding(request: Asked) -> Response[Any]:
    """A vector for each text or picture."""
    return await served(request, EmbeddingAdapter, EmbeddingRequest, _whole)


async def _whole(call: Call[EmbeddingRequest, EmbeddingAdapter]) -> EmbeddingResponse:
    predictions = await call.finished()
    return call.adapter.parse(call.plan.request, predictions, call.stamp(""), call.plan.prepared)
