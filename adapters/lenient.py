"""JSON as models write it: with single quotes, trailing commas, comments, Python's words, or an end too few."""

import json
import re
from contextlib import suppress
from typing import Any

_SPACE = re.compile(r"(?:\s+|//[^\n]*\n|/\*.*?\*/|#[^\n]*\n)*", re.DOTALL)
_STRINGS = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
    # An apostrophe within a word ends no string.
    "'": re.compile(r"'((?:[^'\\]|\\.|(?<=\w)'(?=\w))*)'", re.DOTALL),
}
_WORD = re.compile(r"[A-Za-z_$][\w$-]*")
_DIGITS = re.compile(r"[-+.\d][-+.\w]*")
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WORDS: dict[str, Any] = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_DEEPEST = 100
_BRACKETS = ("{", "[", '"')
_STRICT = json.JSONDecoder()
_CONTROL = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class NotJson(ValueError):
    """No reading makes this a JSON value."""


class Unfinished(NotJson):
    """It may still become one."""


def value_of(text: str, at: int = 0, *, ended: bool = False) -> tuple[Any, int]:
    """The value that begins at `at`, and where it ends. Raises NotJson; Unfinished where more text could make it one.

    `ended` says that no more will come: brackets that are still open are then taken as closed.
    """
    at = space(text, at)
    if text[at : at + 1] in _BRACKETS:
        with suppress(ValueError, RecursionError):
            return _STRICT.raw_decode(text, at)
    return _Reader(text, ended=ended).value(at, 0)


def member_of(text: str, at: int, *, ended: bool = False) -> tuple[str, Any, int]:
    """The name and value of an object's member that begins at `at`, and the place behind its comma, or of the bracket
    that closes the object. Raises as `value_of` does."""
    reader = _Reader(text, ended=ended)
    name, at = reader.name(at)
    value, at = value_of(text, reader.past_colon(at), ended=ended)
    return name, value, reader.separated(at, "}")


def written(value: Any) -> str:
    """The value as compact JSON. Raises NotJson for numbers that JSON has no digits for."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        raise NotJson("a number is not finite") from None
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair is JSON when it is escaped, and no text otherwise.
        return json.dumps(value, separators=(",", ":"))
    return text


def space(text: str, at: int) -> int:
    """Where space and comments from `at` on have ended."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


class _Reader:
    def __init__(self, text: str, *, ended: bool) -> None:
        self._text, self._ended = text, ended

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        at = space(self._text, at)
        first = self._text[at : at + 1]
        if not first:
            raise Unfinished("the text ends before a value")
        if depth > _DEEPEST:
            raise NotJson("it is nested too deeply")
        if first == "{":
            return self._object(at + 1, depth)
        if first == "[":
            return self._array(at + 1, depth)
        if first in _STRINGS:
            return self._string(at)
        return self._plain(at)

    def _object(self, at: int, depth: int) -> tuple[Any, int]:
        held: dict[str, Any] = {}
        while True:
            at, closed = self._item_or_end(at, "}")
            if closed:
                return held, at
            name, at = self.name(at)
            held[name], at = self.value(self.past_colon(at), depth + 1)
            at = self.separated(at, "}")

    def _array(self, at: int, depth: int) -> tuple[Any, int]:
        held: list[Any] = []
        while True:
            at, closed = self._item_or_end(at, "]")
            if closed:
                return held, at
            each, at = self.value(at, depth + 1)
            held.append(each)
            at = self.separated(at, "]")

    def _item_or_end(self, at: int, bracket: str) -> tuple[int, bool]:
        at = space(self._text, at)
        if self._text[at : at + 1] == bracket:
            return at + 1, True
        if at >= len(self._text) and self._ended:
            return at, True
        return at, False

    def separated(self, at: int, bracket: str) -> int:
        """Past a comma, or before the closing bracket."""
        at = space(self._text, at)
        here = self._text[at : at + 1]
        if here == ",":
            return at + 1
        if here == bracket or (not here and self._ended):
            return at
        raise self._wrong(at, "a comma is missing")

    def name(self, at: int) -> tuple[str, int]:
        """A member's name, with or without quotes."""
        if self._text[at : at + 1] in _STRINGS:
            return self._string(at)
        if found := _WORD.match(self._text, at):
            return found[0], found.end()
        raise self._wrong(at, "a name is missing")

    def past_colon(self, at: int) -> int:
        """Behind the colon that must be here."""
        at = space(self._text, at)
        if self._text[at : at + 1] != ":":
            raise self._wrong(at, "a colon is missing")
        return at + 1

    def _string(self, at: int) -> tuple[str, int]:
        quote = self._text[at]
        found = _STRINGS[quote].match(self._text, at)
        if not found:
            raise Unfinished("a text has no end")
        inner = found[1].replace("\\'", "'") if quote == "'" else found[1]
        try:
            return json.loads(f'"{_escaped(inner)}"'), found.end()
        except ValueError:
            raise NotJson("a text has an unknown escape in it") from None

    def _plain(self, at: int) -> tuple[Any, int]:
        if found := _WORD.match(self._text, at):
            if found[0] in _WORDS:
                return _WORDS[found[0]], found.end()
            raise self._wrong(found.end(), f"{found[0][:40]!r} is no value")
        if found := _DIGITS.match(self._text, at):
            if found.end() == len(self._text) and not self._ended:
                raise Unfinished("a number may go on")
            if _NUMBER.fullmatch(found[0]):
                return _number(found[0]), found.end()
        raise self._wrong(at, "there is no value")

    def _wrong(self, at: int, why: str) -> NotJson:
        return Unfinished(why) if at >= len(self._text) else NotJson(f"{why} at character {at}")


def _escaped(inner: str) -> str:
    """A string's inside as JSON wants it: control characters and quotes escaped, escapes left alone."""
    pieces = re.split(r"(\\.)", inner, flags=re.DOTALL)
    for place in range(0, len(pieces), 2):
        plain = pieces[place].replace('"', '\\"')
        pieces[place] = "".join(_CONTROL.get(c, c if c >= " " else f"\\u{ord(c):04x}") for c in plain)
    return "".join(pieces)


def _number(text: str) -> int | float:
    plain = text.replace("_", "")
    try:
        return int(plain)
    except ValueError:
        return float(plain)
