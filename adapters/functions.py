"""What a client lets the model call, and how a model without an input for it is told: instructions in."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from adapters.errors import InvalidRequest
from adapters.validating import Validator, strict_problem
from adapters.wire.chat import ChatRequest
from adapters.wire.tools import CalledFunction, Function, chosen

_SIGNATURES = """\
You can call functions. Each line between <tools> and </tools> is the signature of one, in JSON:
<tools>
{tools}
</tools>
To call a function, write its name and its arguments as one JSON object between {opening} and {closing}, like this:
{example}
Take the arguments from the conversation, and give every one that the function requires. \
The results will follow between <tool_response> and </tool_response>; never write them yourself."""


class Convention(Struct, frozen=True, kw_only=True):
    """How a family speaks of calls where its model has no input for tools: Hermes' way, if it says nothing else.

    `opening` and `closing` stand around a call, `ahead` and `behind` around a result; `listed` says that several
    calls are one list. `telling` explains it to the model.
    """

    opening: str = "<tool_call>"
    closing: str = "</tool_call>"
    ahead: str = "<tool_response>"
    behind: str = "</tool_response>"
    listed: bool = False
    telling: str = _SIGNATURES

    def instructions(self, functions: tuple[Function, ...]) -> str:
        """What the model is told of the functions."""
        example = self.said([("function_name", {"argument": "value"})])
        text = self.telling.replace("{opening}", self.opening).replace("{closing}", self.closing or "the end")
        text = text.replace("{example}", example)
        return text.replace("{tools}", "\n".join(_json(shown(each)) for each in functions))

    def said(self, calls: list[tuple[str, Any]]) -> str:
        """Calls as the model would have written them."""
        written = [{"name": name, "arguments": arguments} for name, arguments in calls]
        groups = [_json(written)] if self.listed else [_json(each) for each in written]
        return "\n".join("\n".join(filter(None, (self.opening, group, self.closing))) for group in groups)

    def answered(self, name: str | None, result: str) -> str:
        """A result as the model is told of it."""
        told = {"name": name, "content": result} if name else {"content": result}
        return "\n".join(filter(None, (self.ahead, _json(told), self.behind)))

    def neutral(self, text: str) -> str:
        """`text` without these marks: a space inside each keeps it readable and takes its power."""
        for mark in filter(None, (self.opening, self.closing, self.ahead, self.behind)):
            text = text.replace(mark, f"{mark[0]} {mark[1:]}")
        return text


HERMES = Convention()


class Tools(Struct, frozen=True, kw_only=True):
    """What may be called (`functions`), what must be (`must`, or the one that is `named`), whether several at once, and
    how. `legacy` says that the client speaks of functions, as before there were tools; `native` that the model has an
    input for them."""

    functions: tuple[Function, ...]
    must: bool = False
    named: str | None = None
    several: bool = True
    legacy: bool = False
    native: bool = False
    convention: Convention = HERMES

    @property
    def instructions(self) -> str:
        """What the model is told beside the client's own words."""
        told = "" if self.native else self.convention.instructions(self.functions)
        return "\n".join(filter(None, (told, self._choice())))

    @property
    def stops(self) -> tuple[str, ...]:
        """A model that begins to write a result goes on without us."""
        return () if self.native else (self.convention.ahead,)

    def get(self, name: str) -> Function | None:
        return next((each for each in self.functions if each.name == name), None)

    def problems(self, name: str, arguments: Any) -> list[str]:
        """What is wrong with a call."""
        function = self.get(name)
        if function is None:
            return [f"there is no function {name[:100]!r}"]
        if self.named and name != self.named:
            return [f"not {name} was to be called, but {self.named}"]
        return Validator(parameters(function)).problems(arguments)

    def _choice(self) -> str:
        if self.named:
            return f"Answer with a call of {self.named} and nothing else."
        if self.must:
            return f"Answer with {'one or several calls' if self.several else 'exactly one call'} and nothing else."
        if self.native:
            return ""
        most = "Several calls stand one after another." if self.several else "Make one call at most."
        return f"Call a function only where it helps; otherwise answer as usual. {most}"


def tools_of(request: ChatRequest, convention: Convention, *, native: bool) -> Tools | None:
    """The tools of a request; None if nothing may be called. Raises InvalidRequest for a schema that is none."""
    functions = tuple(tool.function for tool in request.tools or () if tool.function)
    for index, function in enumerate(functions):
        _check_parameters(function, f"tools[{index}].function.parameters")
    if not functions:
        return _legacy(request, convention)
    choice = request.tool_choice or "auto"
    several = request.parallel_tool_calls is not False
    if choice == "none":
        return None
    if isinstance(choice, str):
        return Tools(
            functions=functions, must=choice == "required", several=several, native=native, convention=convention
        )
    if choice["type"] == "function":
        [named] = chosen(choice)
        return Tools(functions=functions, must=True, named=named, several=several, native=native, convention=convention)
    allowed = tuple(each for each in functions if each.name in chosen(choice))
    must = choice["allowed_tools"].get("mode") == "required"
    return Tools(functions=allowed, must=must, several=several, native=native, convention=convention)


def shown(function: Function) -> dict[str, Any]:
    """A function in OpenAI's form, as models were trained to read it."""
    told = {"name": function.name, "description": function.description, "parameters": parameters(function)}
    return {"type": "function", "function": {name: value for name, value in told.items() if value is not None}}


def parameters(function: Function) -> Mapping[str, Any]:
    """The schema of its arguments; one without any takes none."""
    return function.parameters or {"type": "object", "properties": {}}


def arguments_of(function: CalledFunction) -> Any:
    """The arguments of a call in the history: what is no JSON is told as it is."""
    if isinstance(function.arguments, dict):
        return function.arguments
    try:
        return json.loads(function.arguments or "{}")
    except ValueError:
        return function.arguments


def _legacy(request: ChatRequest, convention: Convention) -> Tools | None:
    functions, choice = tuple(request.functions or ()), request.function_call or "auto"
    for index, function in enumerate(functions):
        _check_parameters(function, f"functions[{index}].parameters")
    if not functions and choice not in ("none", "auto"):
        raise InvalidRequest("'function_call' is only allowed when 'functions' are specified.", param="function_call")
    if not functions or choice == "none":
        return None
    named: Literal["auto"] | Any = choice.get("name") if isinstance(choice, dict) else choice
    if named == "auto":
        return Tools(functions=functions, several=False, legacy=True, convention=convention)
    if not any(each.name == named for each in functions):
        raise InvalidRequest("'function_call' names none of the 'functions'.", param="function_call")
    return Tools(functions=functions, must=True, named=str(named), several=False, legacy=True, convention=convention)


def _check_parameters(function: Function, path: str) -> None:
    schema: Mapping[str, Any] = parameters(function)
    problem = "" if schema.get("type", "object") == "object" else "its type must be 'object'"
    problem = problem or (strict_problem(schema) if function.strict else "") or ""
    if not problem:
        try:
            Validator(schema)
        except ValueError as wrong:
            problem = str(wrong)
    if problem:
        raise InvalidRequest(
            f"Invalid schema for function '{function.name}': {problem}.",
            param=path,
            code="invalid_function_parameters",
        )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
