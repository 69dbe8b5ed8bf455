"""What a prediction came to, in the ledger's words: how it ended, how long it took, what it made and what it cost."""

from datetime import datetime

import msgspec

from adapters.errors import ApiError
from adapters.outputs import files_of
from adapters.schema import Schema
from adapters.usage import Counted, counted
from adapters.wire.replicate import Inputs, Prediction
from gateway.accounts.entries import Settlement
from gateway.accounts.moments import seconds_between
from gateway.accounts.prices import Cost, Measured, Prices
from gateway.errors import MaybeCreated
from gateway.tariffs import Price


def booked(
    prediction: Prediction, cost: Cost, tokens: Counted | None, error: ApiError | None, first: float | None
) -> Settlement:
    """The settlement of a prediction that has ended. `first` is the unix time of its first word."""
    created = _unix(prediction.created_at)
    return Settlement(
        status=prediction.status,
        cost=cost.amount,
        basis=cost.basis,
        error=error.code if error else None,
        prediction=prediction.id,
        queue_seconds=queue_seconds(prediction),
        run_seconds=prediction.metrics.predict_time if prediction.metrics else None,
        first_token_seconds=max(0.0, first - created) if first and created else None,
        tokens_in=tokens.input if tokens else None,
        tokens_out=tokens.output if tokens else None,
        estimated=bool(tokens and tokens.basis == "estimated"),
        images=0 if tokens else len(files_of(prediction.output)),
    )


def costs(prices: Prices, price: Price | None, prediction: Prediction, tokens: Counted | None) -> Cost:
    """What it cost. `tokens` is None for a prediction that speaks none: then the files that came out count."""
    if tokens is None:
        return prices.cost(price, prediction, images=len(files_of(prediction.output)))
    return prices.cost(price, prediction, counted=Measured(input_tokens=tokens.input, output_tokens=tokens.output))


def never_ran(error: ApiError | None) -> Settlement:
    """The settlement where none was created. If the answer to the create was lost, it may have cost anything."""
    code = error.code if error else None
    if isinstance(error, MaybeCreated):
        return Settlement(status="lost", cost=None, basis="unknown: the answer to its create was lost", error=code)
    return Settlement(status="never created", cost=0, basis="free: never created", error=code)


def gone(error: ApiError, prediction: str | None) -> Settlement:
    """The settlement of a prediction that was created once, and that Replicate no longer knows."""
    basis = "unknown: Replicate no longer knows this prediction"
    return Settlement(status="lost", cost=None, basis=basis, error=error.code, prediction=prediction)


def spoken(schema: Schema, prediction: Prediction, inputs: Inputs, said: str) -> Counted | None:
    """The tokens of a text model's prediction, estimated where nobody counted; None for models of another kind."""
    if schema.output not in {"stream", "text"}:
        return None
    words = [value for value in inputs.values() if isinstance(value, str) and not value.startswith(("http", "data:"))]
    lists = [msgspec.json.encode(value).decode() for value in inputs.values() if isinstance(value, list)]
    return counted(prediction, "\n".join([*words, *lists]), said)


def queue_seconds(prediction: Prediction) -> float | None:
    """From its creation to its start: waiting and booting, which Replicate does not tell apart."""
    return seconds_between(prediction.created_at, prediction.started_at)


def _unix(instant: str | None) -> float | None:
    try:
        return datetime.fromisoformat(instant or "").timestamp()
    except ValueError:
        return None
