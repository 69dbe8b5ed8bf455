"""What a request would run, told instead of run: the header `x-repligate-dry-run`."""

from typing import Any

from litestar import Response

from adapters.wire.replicate import Inputs
from gateway.accounts.entries import Opening
from gateway.accounts.notices import shown
from gateway.api.headers import header
from gateway.api.replies import reply
from gateway.api.requests import Asked
from gateway.calls import Caller
from gateway.parts import Gateway
from gateway.plans import K, Plan, R, plan
from gateway.quoting import quoted, reserved

REDACTED = "[REDACTED]"
"""What Replicate itself puts in the place of a secret input."""


def wants_dry_run(request: Asked) -> bool:
    """Whether the client asked to be told only."""
    return header(request.scope, "x-repligate-dry-run").lower() in {"1", "true", "yes"}


async def dry_run(gateway: Gateway, caller: Caller, kind: type[K], request: R) -> Response[bytes]:
    """The model found, the inputs prepared, in the form of `repligate translate`, what they would cost in US dollars
    and what the budgets say to that; nothing is created, held or spent."""
    caller.may_use(request.model)
    planned = await plan(gateway, kind, request)
    prepared = planned.prepared
    quote = quoted(gateway.prices, planned, gateway.config.upstream.deadline_seconds)
    return reply(
        {
            "model": str(planned.model.ref),
            "inputs": [_shown(planned, inputs) for inputs in prepared.inputs],
            "ignored": prepared.ignored,
            "adjusted": prepared.adjusted,
            "cost": {"low": _dollars(quote.low), "high": _dollars(quote.high), "basis": quote.basis},
            "budgets": await _tried(gateway, caller, planned),
        }
    )


async def _tried(gateway: Gateway, caller: Caller, planned: Plan[Any, Any]) -> dict[str, Any]:
    """Whether the budgets would admit it now, what they would hold for it, and how those concerned stand without it."""
    opening = Opening(
        call="",
        key=caller.key.id,
        team=caller.key.team,
        kind=caller.endpoint,
        model=planned.request.model,
        ref=str(planned.model.ref),
        digests=planned.digests,
        reserved=reserved(gateway, planned),
        unpriced=gateway.config.budgets.unpriced,
    )
    trial = await gateway.budgets.trial(opening)
    return {
        "admitted": trial.refusal is None,
        "refusal": trial.refusal.message if trial.refusal else None,
        "held_usd": _dollars(trial.held),
        "concerned": [shown(budget) for budget in trial.budgets],
    }


def _shown(planned: Plan[Any, Any], inputs: Inputs) -> Inputs:
    """The inputs without what is nobody's to see: secrets by the model's schema, and the operator's own words, which
    may be some whatever the schema calls them. A choice that the model itself lists is none."""
    own = {**planned.row.defaults, **planned.row.fixed}

    def hidden(name: str, value: object) -> bool:
        given = planned.model.schema.get(name)
        told = name in own and own[name] == value and not isinstance(value, bool | int | float)
        return bool(given and given.secret) or (told and not (given and given.enum))

    return {name: REDACTED if hidden(name, value) else value for name, value in inputs.items()}


def _dollars(amount: int | None) -> float | None:
    return None if amount is None else amount / 1_000_000
