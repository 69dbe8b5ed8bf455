"""The admin API below `/admin`: a table of verbs, which its routes and its OpenAPI document are made of."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_type_hints

import msgspec
from litestar import HttpMethod, Response, get, route
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from adapters.wire.base import convert, parsed
from gateway.api import verbs
from gateway.api.orders import Order
from gateway.api.paths import SLASH
from gateway.api.replies import JSON, Body, EventStream, Frames, Whole, reply
from gateway.api.requests import Asked, administrator, asked, body_of, gateway_of
from gateway.api.verbs import Desk
from gateway.errors import NotFound


class Verb(Struct, frozen=True):
    """A thing that an admin key can do. `order` is what it is told: a query where nothing changes, else a body."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    act: Callable[[Desk, Any], Awaitable[Struct | Frames]]
    status: int = 200

    @property
    def order(self) -> type[Order]:
        kind: type[Order] = get_type_hints(self.act)["order"]
        return kind

    @property
    def answer(self) -> type[Struct | Frames]:
        kind: type[Struct | Frames] = get_type_hints(self.act)["return"]
        return kind

    @property
    def has_body(self) -> bool:
        return self.method in {"POST", "PUT", "PATCH"}


VERBS = (
    Verb("POST", "/admin/keys", verbs.create_key, 201),
    Verb("GET", "/admin/keys", verbs.list_keys),
    Verb("GET", "/admin/keys/{which:str}", verbs.show_key),
    Verb("PATCH", "/admin/keys/{which:str}", verbs.update_key),
    Verb("POST", "/admin/keys/{which:str}/rotate", verbs.rotate_key, 201),
    Verb("POST", "/admin/keys/{which:str}/block", verbs.block_key),
    Verb("POST", "/admin/keys/{which:str}/unblock", verbs.unblock_key),
    Verb("POST", "/admin/keys/{which:str}/revoke", verbs.revoke_key),
    Verb("GET", "/admin/keys/{which:str}/usage", verbs.show_key_usage),
    Verb("POST", "/admin/teams", verbs.create_team, 201),
    Verb("GET", "/admin/teams", verbs.list_teams),
    Verb("GET", "/admin/teams/{which:str}", verbs.show_team),
    Verb("PATCH", "/admin/teams/{which:str}", verbs.update_team),
    Verb("DELETE", "/admin/teams/{which:str}", verbs.delete_team),
    Verb("POST", "/admin/teams/{which:str}/block", verbs.block_team),
    Verb("POST", "/admin/teams/{which:str}/unblock", verbs.unblock_team),
    Verb("PUT", "/admin/budgets", verbs.set_budget),
    Verb("GET", "/admin/budgets", verbs.list_budgets),
    Verb("GET", "/admin/budgets/{which:str}", verbs.show_budget),
    Verb("DELETE", "/admin/budgets/{which:str}", verbs.remove_budget),
    Verb("GET", "/admin/usage", verbs.show_usage),
    Verb("GET", "/admin/ledger", verbs.list_entries),
    Verb("GET", "/admin/ledger/export", verbs.export_entries),
    Verb("DELETE", "/admin/ledger", verbs.prune_ledger),
    Verb("GET", "/admin/audit", verbs.list_acts),
    Verb("GET", "/admin/prices", verbs.list_prices),
)


@get("/admin/openapi.json", status_code=200)
async def get_document(request: Asked) -> Response[Any]:
    """The OpenAPI document of the admin API."""
    from gateway.api.document import document  # noqa: PLC0415 - whoever never asks for it does not pay for it

    await administrator(request)
    return reply(document(VERBS))


def _handler(verb: Verb) -> HTTPRouteHandler:
    order = verb.order

    async def handle(request: Asked) -> Response[Any]:
        caller = await administrator(request)
        which = str(request.path_params.get("which", "")).replace(SLASH, "/")
        if "\0" in which:
            raise NotFound("Nothing has such a name.")
        desk = Desk(gateway_of(request), caller.key.id, which)
        told = convert(parsed(await body_of(request) or b"{}"), order) if verb.has_body else asked(request, order)
        done = await verb.act(desk, told)
        if isinstance(done, Frames):
            # The first is awaited before the status line leaves: books that are away are no empty table.
            first = await anext(done.frames)
            return EventStream(done, first, {}, desk.gateway.config.server.unread_seconds)
        return Whole(verb.status, Body(msgspec.json.encode(done), JSON), {})

    handle.__doc__ = verb.act.__doc__
    return route(verb.path, http_method=[HttpMethod(verb.method)], status_code=verb.status)(handle)


HANDLERS = (*map(_handler, VERBS), get_document)
