"""How long an answer may be: told to the model where it listens, cut here where it does not."""

from adapters.base import Reading
from adapters.fitting import fitted
from adapters.schema import Input, Schema
from adapters.tables import Draft
from adapters.wire.chat import ChatRequest

MAX_TOKENS = (
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "max_new_tokens",
    "max_length",
    "max_gen_len",
    "max_tokens_to_sample",
    "max_generated_tokens",
    "max_out_tokens",
    "num_predict",
    "n_predict",
    "max_output_length",
)
_LEAST = ("min_tokens", "min_new_tokens")
_BUDGETS = ("thinking_budget_tokens", "thinking_budget")


def limited(draft: Draft, request: ChatRequest, schema: Schema, names: tuple[str, ...]) -> Reading:
    """Places the client's limit. A model whose least limit is above it is given that, and a model without any none:
    the answer is then cut here, by estimate, and the client told that its limit was adjusted."""
    limit = request.limit
    found = schema.known(_counting) if names is MAX_TOKENS else _counting(schema, names)
    if limit is None:
        _widen(draft, found)
        return Reading()
    parameter = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
    if found is None or (fit := fitted(found, limit)) is None:
        draft.adjusted.append(parameter)
        return Reading(limit=limit, cut=True)
    if fit.adjusted:
        draft.adjusted.append(parameter)
    draft.put(parameter, {found.name: fit.value})
    _leave_room(draft, schema, fit.value)
    return Reading(limit=min(limit, fit.value), cut=fit.value > limit)


def _counting(schema: Schema, names: tuple[str, ...] = MAX_TOKENS) -> Input | None:
    usable = (given for given in map(schema.get, names) if given and given.kind in ("integer", "number", "any"))
    return next(usable, None)


def _widen(draft: Draft, found: Input | None) -> None:
    # A budget for thoughts that the model's own default limit cannot hold: the default comes on top of it.
    budget = next((value for name in _BUDGETS if isinstance(value := draft.inputs.get(name), int)), 0)
    if found and isinstance(found.default, int) and budget >= found.default:
        fit = fitted(found, budget + found.default)
        draft.put("reasoning_effort", {found.name: fit.value} if fit else {})


def _leave_room(draft: Draft, schema: Schema, limit: int) -> None:
    # Thoughts are paid from the same purse: a budget at or above the limit leaves nothing for an answer.
    for name in _BUDGETS:
        budget, given = draft.inputs.get(name), schema.get(name)
        if given and isinstance(budget, int) and budget >= limit:
            least = int(given.minimum or 0)
            draft.adjusted.append("reasoning_effort")
            if least < limit:
                draft.inputs[name] = max(least, limit // 2)
            else:
                del draft.inputs[name]
                draft.inputs.update({"extended_thinking": False} if "extended_thinking" in schema else {})
