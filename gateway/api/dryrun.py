"""What a request would run, told instead of run: the header `x-repligate-dry-run`."""

from litestar import Response

from gateway.api.replies import reply
from gateway.api.requests import Asked
from gateway.calls import Caller
from gateway.parts import Gateway
from gateway.plans import K, R, plan
from gateway.quoting import quoted


def wants_dry_run(request: Asked) -> bool:
    """Whether the client asked to be told only."""
    return request.headers.get("x-repligate-dry-run", "").lower() in {"1", "true", "yes"}


async def dry_run(gateway: Gateway, caller: Caller, kind: type[K], request: R) -> Response[bytes]:
    """The model found, the inputs prepared, in the form of `repligate translate`, and what they would cost in US
    dollars; nothing is created or spent."""
    caller.may_use(request.model)
    planned = await plan(gateway, kind, request)
    prepared = planned.prepared
    quote = quoted(gateway.prices, planned, gateway.config.upstream.deadline_seconds)
    return reply(
        {
            "model": str(planned.model.ref),
            "inputs": prepared.inputs,
            "ignored": prepared.ignored,
            "adjusted": prepared.adjusted,
            "cost": {"low": _dollars(quote.low), "high": _dollars(quote.high), "basis": quote.basis},
        }
    )


def _dollars(amount: int | None) -> float | None:
    return None if amount is None else amount / 1_000_000
