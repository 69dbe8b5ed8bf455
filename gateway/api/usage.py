"""GET /v1/usage: what a key has used, told to the key itself."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal

from litestar import Response, get
from msgspec import Struct, field

from gateway.accounting import caught_up
from gateway.accounts.forms import Sum, summed
from gateway.accounts.notices import shown
from gateway.accounts.totals import Within
from gateway.accounts.virtualkeys import KeyLimits
from gateway.api.replies import reply
from gateway.api.requests import Asked, asked, authenticated, gateway_of


class UsageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From the first day to the last (UTC, both included), by day or by model."""

    first: date | None = field(default=None, name="from")
    last: date | None = field(default=None, name="to")
    by: Literal["day", "model"] = "day"


class Standing(Struct, frozen=True, kw_only=True):
    """A key as its holder may see it; moments are unix seconds."""

    id: str
    name: str
    owner: str
    team: str | None
    models: tuple[str, ...]
    endpoints: tuple[str, ...]
    expires_at: float | None
    limits: KeyLimits | None
    team_limits: KeyLimits | None


class OwnUsage(Struct, frozen=True, kw_only=True, tag_field="object", tag="usage"):
    """The answer of GET /v1/usage."""

    key: Standing
    budgets: Sequence[Mapping[str, Any]]
    by: str
    lines: Sequence[Sum]


@get("/v1/usage", status_code=200)
async def get_usage(request: Asked) -> Response[Any]:
    """What the key that asks has used, what it is held to, and the budgets it spends from; nobody sees another's."""
    key, gateway = (await authenticated(request)).key, gateway_of(request)
    query = asked(request, UsageQuery)
    await caught_up(gateway, key.id)
    within = Within(first=query.first, last=query.last, key=key.id)
    lines = await gateway.ledger.usage(query.by, within=within)
    budgets = [shown(budget) for budget in await gateway.budgets.of(key.id, key.team)]
    standing = Standing(**{name: getattr(key, name) for name in Standing.__struct_fields__})
    return reply(OwnUsage(key=standing, budgets=budgets, by=query.by, lines=summed(lines)))
