"""GET /v1/models and /v1/models/{id}: configured rows, and on demand any model of Replicate's."""

from datetime import datetime
from typing import Any
from urllib.parse import unquote

from litestar import Response, get
from litestar.params import FromPath

from adapters.wire.models import ModelCard, ModelList
from gateway.api.replies import reply
from gateway.api.requests import Asked, authenticated, gateway_of
from gateway.config import ModelRow
from gateway.errors import UnknownModel
from gateway.plans import resolve
from gateway.upstream.schemas import Model


@get("/v1/models", status_code=200)
async def list_models(request: Asked) -> Response[Any]:
    """The configured models that this key may use, by the names that clients write."""
    caller = await authenticated(request)
    gateway = gateway_of(request)
    models = gateway.config.models
    return reply(
        ModelList(
            data=tuple(
                _card(name, row, gateway.schemas.known(row.ref))
                for name, row in models.items()
                if caller.key.allows_model(name)
            )
        )
    )


@get("/v1/models/{name:path}", status_code=200)
async def get_model(request: Asked, name: FromPath[str]) -> Response[Any]:
    """One model: a row, an alias, or any model ref. Slashes may be encoded or not."""
    await authenticated(request)
    gateway, asked = gateway_of(request), unquote(name).strip("/")
    try:
        row = resolve(gateway.config, asked)
        return reply(_card(asked, row, await gateway.schemas.get(row.ref)))
    except UnknownModel as unknown:
        unknown.param = "model"
        raise


def _card(name: str, row: ModelRow, model: Model | None) -> ModelCard:
    """`created` is when the model's version was; 0 while it has not been read."""
    pushed = model.created_at if model else None
    created = int(datetime.fromisoformat(pushed).timestamp()) if pushed else 0
    return ModelCard(id=name, created=created, owned_by=row.ref.owner or "replicate")
