"""A model's calls, told apart from its words while both arrive in pieces: calls out."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from adapters.functions import Tools
from adapters.lenient import NotJson, space, value_of, written
from adapters.thoughts import unsure

_USUAL = {
    "<tool_call>": "</tool_call>",
    "<tool_calls>": "</tool_calls>",
    "<function_call>": "</function_call>",
    "<|tool_call|>": "",
    "<|python_tag|>": "",
    "[TOOL_CALLS]": "",
}
"""What models write around calls, whatever they were told."""
_BARE = ('{"name":', '{"type":"function"', '{"function":', '{"tool_calls":', '{"arguments":', "{'name':")
"""How a call begins whose marks were forgotten, without its spaces."""
_FENCE = re.compile(r"\s*(?:```\w*\s*|`{0,2}\Z)?")
_TRAILING = re.compile(r"\s*(?:`{1,3}\w{0,20})?\s*\Z")
_NAMES = ("name", "tool", "tool_name", "function_name", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "input")


AFTERWORDS = 80
"""How many characters may follow what was wanted before the model is stopped."""


class Called(NamedTuple):
    """A call whose arguments are what its function takes, as JSON."""

    name: str
    arguments: str


class Heard(NamedTuple):
    """What a piece of text turned out to be."""

    text: str = ""
    calls: tuple[Called, ...] = ()


class Calls:
    """Splits a text given in any pieces; the same text always splits the same.

    A call is held until it is whole and valid. Words before the first leave as they come, without marks or the space
    around them; words after it are dropped, for they guess at its result. `fault` says what is wrong with a call that
    cannot be passed on. `made` are calls that were passed on before.
    """

    def __init__(self, tools: Tools, made: tuple[Called, ...] = ()) -> None:
        self._tools = tools
        self._marks = {**_USUAL, tools.convention.opening: tools.convention.closing}
        self._held = self._opening = ""
        self._closing: str | None = None
        self._begun = False
        self._found: list[Called] = []
        self._before = made
        self.made = list(made)
        self.fault = ""

    @property
    def complete(self) -> bool:
        """Nothing that may still come counts."""
        return bool(self.fault) or (bool(self.made) and not self._tools.several)

    @property
    def enough(self) -> bool:
        """The model need not go on; one that ends about now by itself is let to, and measured."""
        return bool(self.fault) or (self.complete and len(self._held) > AFTERWORDS)

    def feed(self, text: str) -> Heard:
        """What is certain by now."""
        self._held += text
        return self._take(last=False)

    def close(self, *, whole: bool = True) -> Heard:
        """The rest; the call at the end of a text that is not `whole` is none."""
        if not whole and self._closing is not None:
            self._held = ""
        heard = self._take(last=True)
        if whole and not self.fault and not self.made and self._tools.must:
            self.fault = "no function was called"
        return heard

    def _take(self, *, last: bool) -> Heard:
        words, self._found = "", []
        while self._held and not self.complete:
            before = len(self._held), self._closing
            words += self._outside(last=last) if self._closing is None else self._inside(last=last)
            if (len(self._held), self._closing) == before:
                break
        return Heard(words, tuple(self._found))

    def _outside(self, *, last: bool) -> str:
        if not self._begun and self._may_be_bare() and not (last and not self._bare_call()):
            return ""
        at, mark = min(((at, mark) for mark in self._marks if (at := self._held.find(mark)) >= 0), default=(-1, ""))
        if mark:
            text = _TRAILING.sub("", self._held[:at], count=1)
            self._opening, self._closing = self._held[len(text) : at] + mark, self._marks[mark]
            self._held = self._held[at + len(mark) :]
            return self._said(text)
        size = len(self._held) if last else len(self._held) - unsure(self._held, tuple(self._marks))
        if not last and (trailing := _TRAILING.search(self._held[:size])):
            size = trailing.start()
        text, self._held = self._held[:size], self._held[size:]
        return self._said(text)

    def _may_be_bare(self) -> bool:
        """The text begins as a call without marks would; where one must come, it may stand anywhere."""
        if self.made or any(mark in self._held for mark in self._marks):
            return False
        start = "".join(_unfenced(self._held)[:80].split()).removeprefix("[")
        return self._tools.must or any(sign.startswith(start) or start.startswith(sign) for sign in _BARE)

    def _bare_call(self) -> bool:
        """Takes all that is held if a call without marks is in it."""
        bare = self._held[self._held.find("{") :] if self._tools.must else _unfenced(self._held)
        names = [name for each in self._tools.functions for name in (f'"{each.name}"', f"'{each.name}'")]
        if not (any(name in bare for name in names) or self._tools.named) or not self._heard(bare):
            return False
        self._held = ""
        return True

    def _inside(self, *, last: bool) -> str:
        bare = _unfenced(self._held)
        if bare and bare[0] not in "{[":
            # Words about calls are words.
            text, self._closing = self._opening, None
            return self._said(text)
        for end, mark in self._ends(last=last):
            if self._heard(self._held[:end]):
                self._after(end + mark)
                return ""
        if last:
            self.fault = "what was meant as a call is no JSON object with a name and arguments"
        return ""

    def _ends(self, *, last: bool) -> list[tuple[int, int]]:
        """Where the call may end, and the length of the mark there: a mark may also be part of a text in the call."""
        held, closing = self._held, self._closing
        ends = [(found.start(), len(found[0])) for found in re.finditer(re.escape(closing), held)] if closing else []
        ends += [(found.start(), 0) for found in re.finditer(re.escape(self._opening.strip()), held)]
        if not closing and (end := _value_end(held)):
            ends.append((end, 0))
        return sorted([*ends, *([(len(held), 0)] if last else [])])

    def _after(self, end: int) -> None:
        self._held, self._closing = self._held[end:], None

    def _said(self, text: str) -> str:
        self._begun = self._begun or bool(text.strip())
        return "" if self.made or self._tools.must else text

    def _heard(self, text: str) -> bool:
        """Takes the calls in a text; False if it holds none."""
        try:
            calls = [call for value in _values(_unfenced(text)) for call in self._calls_in(value)]
        except NotJson:
            return False
        for name, arguments in calls:
            self._call(name, arguments)
        return bool(calls)

    def _call(self, name: str, arguments: Any) -> None:
        if self.complete:
            return
        if problems := self._tools.problems(name, arguments):
            self.fault = f"the call of {name[:100]} is wrong: {'; '.join(problems)}"
            return
        call = Called(name, written(arguments))
        if call not in self._before:
            self.made.append(call)
            self._found.append(call)

    def _calls_in(self, value: Any) -> Iterator[tuple[str, Any]]:
        """The calls in one value, in whichever of the usual shapes."""
        if isinstance(value, list):
            for each in value:
                yield from self._calls_in(each)
        elif isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
            yield from self._calls_in(value["tool_calls"])
        elif isinstance(value, dict) and isinstance(value.get("function"), dict):
            yield from self._calls_in(value["function"])
        elif isinstance(value, dict):
            yield from self._one_call(value)

    def _one_call(self, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
        key = next((key for key in _ARGUMENTS if key in value), None)
        named = self._tools.named
        if named and key is None and not self._tools.problems(named, value):
            # Nothing but the arguments of the one function that could be meant.
            yield named, value
        elif name is not None and (key or self._tools.get(name) or len(value) == 1):
            arguments = value[key] if key else {}
            yield name, _read(arguments) if isinstance(arguments, str) else {} if arguments is None else arguments


def _read(arguments: str) -> Any:
    try:
        return value_of(arguments or "{}", ended=True)[0]
    except NotJson:
        return arguments


def _unfenced(text: str) -> str:
    found = _FENCE.match(text)
    return text[found.end() :] if found else text


def _values(text: str) -> Iterator[Any]:
    """The objects and lists one after another in a text, up to anything else. Raises NotJson where there is none."""
    value, at = value_of(text, ended=True)
    yield value
    while (at := space(text, at)) < len(text) and text[at] in ",;{[":
        at += text[at] in ",;"
        try:
            value, at = value_of(text, at, ended=True)
        except NotJson:
            return
        yield value


def _value_end(text: str) -> int | None:
    try:
        return value_of(text, len(text) - len(_unfenced(text)))[1]
    except NotJson:
        return None
