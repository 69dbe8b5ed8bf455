"""From a form's fields to the same request struct that JSON becomes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from adapters.errors import InvalidRequest
from adapters.wire.base import PASSTHROUGH, Given, T, Upload, assembled

_STEP = re.compile(r"\[([^\[\]]*)\]")
_LISTS = (inspect.ListType, inspect.VarTupleType, inspect.TupleType)
_OBJECTS = (inspect.StructType, inspect.DictType)
_DEEPEST = 8


Form = Mapping[str, Sequence[str | Upload]]
"""A form's values by name, in their order."""


def decode_form(form: Form, kind: type[T]) -> T:
    """The request in a form. `name[]` and repeated names make lists where the request has one, `name[key]` objects;
    numbers, booleans and whole lists or objects may be written as text. Raises as `decode` does."""
    given: dict[str, Any] = {}
    for name, values in form.items():
        for value in values:
            _put(given, name, value)
    shapes = _shapes(kind)
    return assembled({name: _read(name, value, shapes) for name, value in given.items()}, kind, strict=False)


class _Shapes(NamedTuple):
    """The fields that take lists, and those that take objects."""

    lists: frozenset[str]
    objects: frozenset[str]


class _Several(list[Any]):
    """What stood under one plain name more than once."""


def _put(given: dict[str, Any], name: str, value: str | Upload) -> None:
    stem, bracket, rest = name.partition("[")
    # An index is one more way to write a list: values come in their order.
    steps = ["" if step.isdigit() else step for step in _STEP.findall(bracket + rest)[:_DEEPEST]]
    listed = not steps or not steps[0]
    place = given.setdefault(stem, [] if steps and listed else {} if steps else _Several())
    for step, following in zip(steps or [""], [*steps[1:], None], strict=True):
        inner: Any = value if following is None else {} if following else []
        if isinstance(place, dict) and step:
            place = place.setdefault(step, inner)
        elif isinstance(place, list) and not step:
            place.append(inner)
            place = inner
        else:
            raise InvalidRequest(f"The form's field '{name}' contradicts another one.", param=stem)


def _shapes(kind: type[Given]) -> _Shapes:
    shape = inspect.type_info(kind)
    assert isinstance(shape, inspect.StructType)
    return _Shapes(
        kind.listed() | {field.encode_name for field in shape.fields if _takes(field.type, _LISTS)},
        frozenset(field.encode_name for field in shape.fields if _takes(field.type, _OBJECTS)),
    )


def _takes(declared: inspect.Type, kinds: tuple[type[inspect.Type], ...]) -> bool:
    return isinstance(declared, kinds) or (
        isinstance(declared, inspect.UnionType) and any(isinstance(each, kinds) for each in declared.types)
    )


def _read(name: str, value: Any, shapes: _Shapes) -> Any:
    if not isinstance(value, _Several):
        return value
    listed = name in shapes.lists
    if len(value) > 1 and not listed:
        raise InvalidRequest(
            f"Duplicate parameter: '{name}'. It was given {len(value)} times, and can be given once.",
            param=name,
            code="duplicate_parameter",
        )
    parsed = [_parsed(each) for each in value] if listed or name in (*shapes.objects, PASSTHROUGH) else value
    if not listed or (len(parsed) == 1 and isinstance(parsed[0], list)):
        return parsed[0]
    return list(parsed)


def _parsed(value: Any) -> Any:
    """A list or an object that was written as JSON; anything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value
