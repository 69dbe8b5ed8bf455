"""Bringing a value into what one input takes: its kind, its choices, its range."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from adapters.resolving import Kind
from adapters.schema import Input

_SAME = ({"jpg", "jpeg"}, {"tif", "tiff"}, {"true", "yes", "on"}, {"false", "no", "off"})


class Fitted(NamedTuple):
    """A value the input takes, and whether it differs from what was asked."""

    value: Any
    adjusted: bool = False


def fitted(given: Input, value: Any) -> Fitted | None:
    """`value` as this input takes it; None if no value near it will do."""
    if value is None:
        return Fitted(None) if given.nullable else None
    if given.enum:
        return _chosen(given.enum, value)
    if given.kind == "array":
        return _listed(given, value)
    plain = _coerced(given.kind, value)
    return None if plain is None else _ranged(given, plain)


def closest(choices: Sequence[Any], value: float) -> Any:
    """The choice nearest in number; choices may be numbers or numbers as text."""
    return min(choices, key=lambda choice: abs(float(choice) - value))


def _chosen(choices: Sequence[Any], value: Any) -> Fitted | None:
    for choice in choices:
        if choice == value and isinstance(choice, bool) == isinstance(value, bool):
            return Fitted(choice)
    wanted = _word(value)
    for choice in choices:
        if _word(choice) == wanted or any({_word(choice), wanted} <= same for same in _SAME):
            return Fitted(choice)
    number = _number(value)
    if number is None or not all(_number(choice) is not None for choice in choices):
        return None
    near = closest(choices, number)
    return Fitted(near, adjusted=float(near) != number)


def _word(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().lower()


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _listed(given: Input, value: Any) -> Fitted | None:
    items = value if isinstance(value, list) else [value]
    plain = [_coerced(given.item, item) for item in items]
    return None if any(item is None for item in plain) else Fitted(plain)


def _coerced(kind: Kind, value: Any) -> Any:
    """The same value in another kind, or None."""
    if kind == "string":
        return _text(value)
    if kind == "boolean":
        return _truth(value)
    if kind in ("integer", "number"):
        return _number(value) if not isinstance(value, (int, float)) or isinstance(value, bool) else value
    if kind == "object":
        return value if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "false": False, "0": False}.get(_word(value))


def _ranged(given: Input, value: Any) -> Fitted:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return Fitted(value)
    if given.kind not in ("integer", "number"):
        return Fitted(value)
    near: float = value
    if given.maximum is not None:
        near = min(near, given.maximum)
    if given.minimum is not None:
        near = max(near, given.minimum)
    if given.kind == "integer":
        near = _whole(near, given)
    return Fitted(near, adjusted=near != value)


def _whole(number: float, given: Input) -> int:
    near = round(number)
    if given.minimum is not None and near < given.minimum:
        return math.ceil(given.minimum)
    if given.maximum is not None and near > given.maximum:
        return math.floor(given.maximum)
    return near
