"""What a prediction came to, in the ledger's words: how it ended, how long it took, what it made and what it cost."""

from collections.abc import Iterator, Sequence
from functools import partial

from adapters.base import Prepared
from adapters.errors import ApiError
from adapters.limits import MAX_TOKENS
from adapters.outputs import files_of
from adapters.schema import Schema
from adapters.usage import Counted, counted, estimated, read
from adapters.wire.replicate import Inputs, Prediction
from gateway.accounts.entries import Settlement
from gateway.accounts.moments import seconds_between, unix
from gateway.accounts.prices import Cost, Measured, Prices
from gateway.accounts.rates import Estimate
from gateway.errors import MaybeCreated
from gateway.tariffs import Price


def booked(
    prediction: Prediction, cost: Cost, tokens: Counted | None, error: ApiError | None, first: float | None
) -> Settlement:
    """The settlement of a prediction that has ended. `first` is the unix time of its first word, if it was heard."""
    return Settlement(
        status=prediction.status,
        cost=cost.amount,
        basis=cost.basis,
        error=error.code if error else None,
        prediction=prediction.id,
        queue_seconds=queue_seconds(prediction),
        run_seconds=prediction.metrics.predict_time if prediction.metrics else None,
        first_token_seconds=first_token_seconds(prediction, first),
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
    """The tokens of a text model's prediction, or those that one for embeddings read, estimated where nobody counted;
    None for models of another kind."""
    prompt = partial(_prompt, inputs)
    if schema.embeds:
        return read(prediction, prompt)
    return counted(prediction, prompt, said) if _speaks(schema) else None


def foreseen(schema: Schema, prepared: Prepared, names: tuple[str, ...] = MAX_TOKENS) -> Estimate:
    """What a call's predictions may come to: every prompt, and as many tokens more as the client lets a model say, or
    as the model lets itself. `names` are its inputs for that number."""
    speaks = _speaks(schema)
    reads = speaks or schema.embeds
    told = sum(estimated(_prompt(inputs)) for inputs in prepared.inputs) if reads else 0
    said, assumed = (prepared.reading.limit or 0) * len(prepared.inputs), 0
    if speaks and not said:
        assumed = sum(allowed(schema, inputs, names) or 0 for inputs in prepared.inputs)
    return Estimate(tokens=told + said, images=sum(prepared.reading.counts), assumed=assumed)


def allowed(schema: Schema, inputs: Inputs, names: tuple[str, ...]) -> int | None:
    """The tokens that a model may say: as it is told, by its own default, or at the very most."""
    limit = schema.get(*names)
    if limit is None:
        return None
    told = (inputs.get(limit.name), limit.default, limit.maximum)
    return next((int(number) for number in told if isinstance(number, int | float) and number > 0), None)


def came_to(settlements: Sequence[Settlement]) -> Estimate | None:
    """What a call's predictions did come to; None where nobody knows of one."""
    if any(each.status == "lost" for each in settlements):
        return None
    tokens = sum((each.tokens_in or 0) + (each.tokens_out or 0) for each in settlements)
    return Estimate(tokens=tokens, images=sum(each.images or 0 for each in settlements))


def queue_seconds(prediction: Prediction) -> float | None:
    """From its creation to its start: waiting and booting, which Replicate does not tell apart."""
    return seconds_between(prediction.created_at, prediction.started_at)


def first_token_seconds(prediction: Prediction, first: float | None) -> float | None:
    """From its creation to its first word: as we heard it, else as the model measured it."""
    created = unix(prediction.created_at)
    if first:
        return max(0.0, first - created) if created else None
    queued = queue_seconds(prediction)
    measured = prediction.metrics.time_to_first_token if prediction.metrics else None
    return None if queued is None or measured is None else queued + measured


def _speaks(schema: Schema) -> bool:
    return schema.output in {"stream", "text"} and not schema.embeds


def _prompt(inputs: Inputs) -> str:
    return "\n".join(_words(list(inputs.values())))


def _words(value: object) -> Iterator[str]:
    """The texts in a value; a file's address, or the file itself in a data URI, is none."""
    if isinstance(value, str):
        if not value.startswith(("http", "data:")):
            yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _words(each)
    elif isinstance(value, dict):
        yield from _words(list(value.values()))
