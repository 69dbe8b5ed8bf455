"""Where client parameters go: the commonest rule, and the draft of a model's input that rules fill."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from adapters.base import Adapter, Adjusted, Prepared, Reading, Rule, Table
from adapters.errors import InvalidRequest, MissingParameter
from adapters.fitting import Fitted, fitted
from adapters.schema import Input, Schema
from adapters.wire.base import PASSTHROUGH, invalid_value
from adapters.wire.replicate import Inputs

_NEUTRAL = "negative_prompt"
_FREE = ("string", "array", "object", "any")


def into(*names: str, convert: Callable[[Any], Any] | None = None) -> Rule:
    """The value, converted, to the first of these inputs that the model has."""

    def rule(value: Any, schema: Schema) -> Inputs:
        found = schema.get(*names)
        return {found.name: convert(value) if convert else value} if found else {}

    return rule


def nowhere(value: Any, schema: Schema) -> Inputs:
    """For parameters that no model has a place for."""
    return {}


def substituted(schema: Schema, instead: Schema | None) -> Schema:
    """What the family says the model's inputs really are, as long as its published schema shows none of them: a stub
    that was mended needs no substitute."""
    return instead if instead and not set(schema.inputs) & set(instead.inputs) else schema


class Draft:
    """One model's input while it is being written; knows which parameter each input came from."""

    def __init__(self, adapter: Adapter, schema: Schema) -> None:
        self._row = adapter.row
        self._schema = schema
        self._origins: dict[str, str] = {}
        self._knobs: set[str] = set()
        self.inputs: Inputs = {}
        self.ignored: list[str] = []
        self.adjusted: list[str] = []
        for name, value in {**adapter.defaults, **(self._row.defaults if self._row else {})}.items():
            given = schema.get(name)
            if given and (fit := fitted(given, value)):
                self.inputs[name] = fit.value

    def put(self, parameter: str, inputs: Mapping[str, Any]) -> None:
        """Inputs as they are."""
        for name, value in inputs.items():
            if not self._dropped(name):
                self.inputs[name] = value
                self._origins[name] = parameter

    def translate(self, parameters: Mapping[str, Any], table: Table) -> None:
        """Each parameter by its row of the table (the operator's first, then the adapter's); None is absence."""
        for parameter, value in parameters.items():
            if value is None:
                continue
            if self._dropped(parameter):
                self.ignored.append(parameter)
            else:
                self._knobs.add(parameter)
                self._place(parameter, self._rule(parameter, table)(value, self._schema))

    def pass_on(self, extra: Mapping[str, Any]) -> None:
        """Fields unknown to OpenAI, to the inputs of their own names; `replicate` is merged as it is.

        Raises InvalidRequest for a value that its input cannot take at all.
        """
        for name, value in extra.items():
            if name != PASSTHROUGH:
                self._pass(name, value)
        raw = extra.get(PASSTHROUGH)
        if raw is not None and not isinstance(raw, dict):
            raise InvalidRequest(
                f"Invalid type for '{PASSTHROUGH}': expected an object.", param=PASSTHROUGH, code="invalid_type"
            )
        self.put(PASSTHROUGH, raw or {})

    def finish(self) -> Inputs:
        """The input, whole: the operator's fixed ones on top, required ones filled where the model itself shows what
        they are. Raises MissingParameter or InvalidRequest where the model would refuse it."""
        for name, value in (self._row.fixed if self._row else {}).items():
            if self._origins.get(name) not in (None, "messages", "prompt"):
                self.ignored.append(self._origins[name])
            self._origins.pop(name, None)
            self.inputs[name] = value
        for missing in self._schema:
            if missing.required and missing.name not in self.inputs:
                self.inputs[missing.name] = self._known(missing)
        for problem in self._schema.problems(self.inputs):
            origin = self._origins.get(problem.field, problem.field)
            if not self._gives_up(origin, problem.field):
                raise InvalidRequest(
                    f"Invalid '{origin}': the model's input {problem.field!r} refuses it: {problem.message}.",
                    param=origin,
                    code="invalid_value",
                )
        return self.inputs

    def prepared(self, inputs: Iterable[Inputs], reading: Reading) -> Prepared:
        ignored, adjusted = dict.fromkeys(self.ignored), dict.fromkeys(self.adjusted)
        return Prepared(tuple(inputs), tuple(ignored), tuple(adjusted), reading, dict(self._origins))

    def _rule(self, parameter: str, table: Table) -> Rule:
        if self._row and parameter in self._row.rename:
            return into(self._row.rename[parameter])
        return table.get(parameter) or into(parameter)

    def _gives_up(self, parameter: str, name: str) -> bool:
        """Leaves a knob out whose input takes no value at all: some schemas contradict themselves (an integer that
        must be one of these strings)."""
        given = self._schema.get(name)
        if parameter not in self._knobs or given is None or given.required:
            return False
        placed = [each for each, origin in self._origins.items() if origin == parameter]
        self.inputs = {each: value for each, value in self.inputs.items() if each not in placed}
        self.adjusted = [each for each in self.adjusted if each != parameter]
        self.ignored.append(parameter)
        return True

    def _dropped(self, name: str) -> bool:
        return bool(self._row and name in self._row.drop)

    def _place(self, parameter: str, placed: Inputs) -> None:
        fits: dict[str, Fitted] = {}
        for name, value in placed.items():
            given = self._schema.get(name)
            if given is None or self._dropped(name) or (fit := fitted(given, value)) is None:
                continue
            fits[name] = fit
        if not fits:
            self.ignored.append(parameter)
            return
        if isinstance(placed, Adjusted) or any(fit.adjusted for fit in fits.values()):
            self.adjusted.append(parameter)
        self.put(parameter, {name: fit.value for name, fit in fits.items()})

    def _pass(self, name: str, value: Any) -> None:
        renamed = self._row.rename.get(name, name) if self._row else name
        given = self._schema.get(renamed)
        if given is None or self._dropped(name) or self._dropped(renamed):
            self.ignored.append(name)
            return
        fit = fitted(given, value)
        if fit is None and given.enum:
            raise invalid_value(name, value, tuple(map(str, given.enum)))
        if fit is None:
            raise InvalidRequest(
                f"Invalid type for '{name}': the model expects {given.kind}.", param=name, code="invalid_type"
            )
        if fit.adjusted:
            self.adjusted.append(name)
        self.put(name, {renamed: fit.value})

    def _known(self, missing: Input) -> Any:
        if missing.settled:
            return missing.default
        # A knob's value in the model's own example is as good a default as any; a text's or a file's is not.
        knob = missing.enum or missing.kind not in _FREE
        shown = self._schema.example.get(missing.name)
        if knob and shown is not None and (fit := fitted(missing, shown)):
            return fit.value
        if missing.name == _NEUTRAL and missing.text:
            return ""
        raise MissingParameter(f"Missing required parameter: '{missing.name}'. {_reason(missing)}", param=missing.name)


def _reason(missing: Input) -> str:
    if missing.medium == "image":
        return "This model works on an image: give its address by this name, or use /v1/images/edits."
    if missing.medium == "audio":
        return "This model works on a recording: give its address by this name; the gateway's operator can set one."
    if missing.secret:
        return "This model cannot run without it; the gateway's operator can set it for everyone."
    return "This model cannot run without it; give it by this name."
