"""GET /v1/models and /v1/models/{id}: configured rows, and on demand any model of Replicate's."""

from typing import Any
from urllib.parse import unquote

from litestar import Response, get
from litestar.params import FromPath
from msgspec import UNSET

from adapters.about import about
from adapters.wire.models import ModelCard, ModelList, ModelsQuery
from adapters.wire.replicate import ModelRef
from gateway.accounts.virtualkeys import VirtualKey
from gateway.api.replies import reply
from gateway.api.requests import Asked, asked, authenticated, gateway_of
from gateway.errors import UnknownModel
from gateway.parts import Gateway
from gateway.plans import resolve
from gateway.upstream.models import Model


@get("/v1/models", status_code=200)
async def list_models(request: Asked) -> Response[Any]:
    """The configured models that this key may use, by the names that clients write; with `search` or `collection`,
    those of Replicate's."""
    caller, gateway = await authenticated(request), gateway_of(request)
    query = asked(request, ModelsQuery)
    query.check()
    if query.search:
        found = await gateway.finding.search(query.search.strip())
    elif query.collection:
        found = await gateway.finding.collection(query.collection.strip())
    else:
        return reply(ModelList(data=_configured(gateway, caller.key)))
    return reply(ModelList(data=_found(gateway, caller.key, found)))


@get("/v1/models/{name:path}", status_code=200)
async def get_model(request: Asked, name: FromPath[str]) -> Response[Any]:
    """One model: a row, an alias, or any model ref. Slashes may be encoded or not."""
    await authenticated(request)
    gateway, asked = gateway_of(request), unquote(name).strip("/")
    try:
        row = resolve(gateway.config, asked)
        return reply(_card(gateway, asked, row.ref, await gateway.schemas.get(row.ref)))
    except UnknownModel as unknown:
        unknown.param = "model"
        raise


def _configured(gateway: Gateway, key: VirtualKey) -> tuple[ModelCard, ...]:
    return tuple(
        _card(gateway, name, row.ref, gateway.schemas.known(row.ref))
        for name, row in gateway.config.models.items()
        if key.allows_model(name)
    )


def _found(gateway: Gateway, key: VirtualKey, found: tuple[Model, ...]) -> tuple[ModelCard, ...]:
    """Those that this key may use, each by the name it may use it by: a row's, or the model's own."""
    cards = []
    for model in found:
        own = (model.path,) if gateway.config.upstream.any_model else ()
        rows = (name for name, row in gateway.config.models.items() if row.ref == model.ref)
        name = next((name for name in (*rows, *own) if key.allows_model(name)), None)
        if name:
            cards.append(_card(gateway, name, model.ref, model))
    return tuple(cards)


def _card(gateway: Gateway, name: str, ref: ModelRef, model: Model | None) -> ModelCard:
    """`created` is when the model's version was; 0 while it has not been read."""
    bare = ModelCard(id=name, created=0, owned_by=ref.owner or "replicate", model=str(ref))
    if model is None:
        return bare
    told = about(model.schema, gateway.catalog, ModelRef(model.owner, model.name)) if model.version else None
    return ModelCard(
        id=name,
        created=model.created,
        owned_by=bare.owned_by,
        model=bare.model,
        kind=told.name if told else UNSET,
        endpoints=told.endpoints if told else UNSET,
        context_length=told.context if told and told.context else UNSET,
        max_output_tokens=told.output if told and told.output else UNSET,
        official=UNSET if model.official is None else model.official,
    )
