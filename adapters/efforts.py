"""How hard to think: OpenAI's words in the inputs that models have for it."""

from typing import Any

from adapters.base import Adjusted
from adapters.schema import Input, Schema
from adapters.wire.chat import EFFORTS
from adapters.wire.replicate import Inputs

_ENUMS = ("reasoning_effort", "thinking_level", "effort", "thinking_effort", "reasoning")
_SWITCHES = ("enable_thinking", "extended_thinking", "thinking", "enable_reasoning", "reasoning", "think")
_BUDGETS = ("thinking_budget", "thinking_budget_tokens", "reasoning_budget", "budget_tokens")
_TOKENS = {"none": 0, "minimal": 512, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 32768, "max": 65536}
_OFF = ("none", "off", "disabled", "false")


def reasoning_effort(value: Any, schema: Schema) -> Inputs:
    """The nearest word the model has, else a switch and a budget of tokens."""
    for name in _ENUMS:
        given = schema.get(name)
        if given and given.enum and (word := _nearest(str(value), given)) is not None:
            return {name: word} if str(word).lower() == value else Adjusted({name: word})
    return {**_switched(str(value), schema), **_budgeted(str(value), schema)}


def _nearest(effort: str, given: Input) -> Any | None:
    order = {word: place for place, word in enumerate(EFFORTS)} | dict.fromkeys(_OFF, 0)
    words = [word for word in given.enum if str(word).lower() in order]
    if not words:
        return None
    return min(words, key=lambda word: abs(order[str(word).lower()] - order[effort]))


def _switched(effort: str, schema: Schema) -> Inputs:
    switch = next((given for name in _SWITCHES if (given := schema.get(name)) and given.kind == "boolean"), None)
    # `minimal` is the least a thinking model does; with a switch alone that is not to think.
    return {switch.name: effort not in ("none", "minimal")} if switch else {}


def _budgeted(effort: str, schema: Schema) -> Inputs:
    given = schema.get(*_BUDGETS)
    if given is None or given.kind not in ("integer", "number"):
        return {}
    switched_off = effort in ("none", "minimal") and bool(_switched(effort, schema))
    if switched_off:
        return {}
    budget: float = _TOKENS[effort]
    if given.maximum is not None:
        budget = min(budget, given.maximum)
    if given.minimum is not None:
        budget = max(budget, given.minimum)
    dynamic: Inputs = {"dynamic_thinking": False} if "dynamic_thinking" in schema else {}
    return {given.name: int(budget), **dynamic}
