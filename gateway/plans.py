"""What a request would run: its model found, its inputs prepared, nothing spent yet."""

import difflib
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

from adapters.base import Prepared, Row
from adapters.errors import InvalidRequest
from adapters.schema import Schema
from adapters.wire.replicate import ModelRef
from gateway.config import Config, ModelRow
from gateway.errors import UnknownModel
from gateway.parts import Gateway
from gateway.tariffs import Price
from gateway.upstream.client import digest
from gateway.upstream.schemas import Model


class Named(Protocol):
    """Any request that names a model."""

    @property
    def model(self) -> str: ...

    @property
    def streams(self) -> bool: ...


class Kind(Protocol):
    """Any adapter that can prepare a request."""

    def prepare(self, request: Any, schema: Schema) -> Prepared: ...
    def amended(self, row: Row | None) -> Self: ...


R = TypeVar("R", bound=Named)
K = TypeVar("K", bound=Kind)


@dataclass(frozen=True, slots=True)
class Plan(Generic[R, K]):
    """A request, its model, the adapter between them, and the inputs to run."""

    request: R
    row: ModelRow
    model: Model
    adapter: K
    prepared: Prepared
    digests: tuple[str, ...]
    price: Price | None


async def plan(gateway: Gateway, kind: type[K], request: R) -> Plan[R, K]:
    """The request translated for its model. Raises UnknownModel, InvalidRequest, UpstreamFailed."""
    row = resolve(gateway.config, request.model)
    return translated(gateway, kind, request, row, await gateway.schemas.get(row.ref))


async def replanned(gateway: Gateway, kind: type[K], old: Plan[R, K]) -> Plan[R, K] | None:
    """The plan after the model's schema was read again; None if that changes nothing."""
    model = await gateway.schemas.refresh(old.row.ref)
    new = translated(gateway, kind, old.request, old.row, model)
    return None if (new.prepared, model.version) == (old.prepared, old.model.version) else new


def translated(gateway: Gateway, kind: type[K], request: R, row: ModelRow, model: Model) -> Plan[R, K]:
    """The request prepared for a model whose schema is at hand."""
    adapter = gateway.catalog.find(kind, ModelRef(model.owner, model.name)).amended(row)
    price = gateway.prices.price(str(model.ref) if model.ref.deployment else model.path, row)
    try:
        prepared = adapter.prepare(request, model.schema)
        digests = tuple(map(digest, prepared.inputs))
    except RecursionError:
        raise InvalidRequest("This request is nested too deeply.") from None
    return Plan(request, row, model, adapter, prepared, digests, price)


def resolve(config: Config, name: str) -> ModelRow:
    """The row that a model name means: configured, an alias, or any model ref of Replicate's. Raises UnknownModel."""
    if row := config.row(name):
        return row
    try:
        ModelRef.parse(name)
    except ValueError:
        raise unknown(config, name) from None
    if not config.upstream.any_model:
        raise unknown(config, name)
    return ModelRow(model=name)


def unknown(config: Config, name: str) -> UnknownModel:
    """The error for a name that means nothing here, with the nearest names that do."""
    near = difflib.get_close_matches(name, config.names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else ""
    return UnknownModel(f"The model `{name[:200]}` does not exist or you do not have access to it.{hint}")
