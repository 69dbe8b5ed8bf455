"""Answers in JSON: how a model is told of the form, and the JSON alone out of what it says."""

import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from adapters.calling import AFTERWORDS
from adapters.errors import InvalidRequest
from adapters.lenient import NotJson, Unfinished, member_of, space, value_of, written
from adapters.validating import Validator, strict_problem
from adapters.wire.tools import ResponseFormat

_OBJECT: Mapping[str, Any] = {"type": "object"}
_WHOLE_ONLY = frozenset(
    ("$ref", "allOf", "anyOf", "oneOf", "not", "if", "enum", "const", "dependentSchemas", "unevaluatedProperties")
)
"""Words of a schema that are about an object as a whole: its members cannot be judged one by one."""
_COUNTING = ("required", "minProperties", "dependentRequired")
_REFUSING = re.compile(
    r"(?:i['’]?m|i am) (?:very |really |so |truly )?(?:sorry|afraid|unable)|sorry"
    r"|i (?:can['’]?t|cannot|will not|won['’]?t)\b|i must decline|as an ai\b",
    re.IGNORECASE,
)
_OPENS = re.compile(r"\{(?=\s*(?:[\"'}]|\Z))")


class Format(Struct, frozen=True, kw_only=True):
    """The JSON Schema of the answer asked for; `native` says that the model has an input for it."""

    schema: Mapping[str, Any]
    name: str = ""
    description: str = ""
    native: bool = False

    @property
    def instructions(self) -> str:
        """What the model is told beside the client's own words."""
        if self.native:
            return ""
        only = "Answer with one JSON object and nothing else: no words before or after it, no code fence."
        if self.schema == _OBJECT:
            return only
        about = "".join(f" {word}" for word in (f"`{self.name}`" if self.name else "", self.description) if word)
        schema = json.dumps(self.schema, ensure_ascii=False)
        return f"{only} It must be valid by this JSON Schema{':' if not about else f' of{about}:'}\n{schema}"

    @property
    def by_members(self) -> bool:
        """Whether an object's members can be judged before the whole is there."""
        return self.schema.get("type") == "object" and not _WHOLE_ONLY & set(self.schema)


def format_of(wanted: ResponseFormat | None, *, native: bool) -> Format | None:
    """The form of the answer; None for plain text. Raises InvalidRequest for a schema that is none."""
    if wanted is None or wanted.type == "text":
        return None
    named = wanted.json_schema
    if wanted.type == "json_object" or named is None:
        return Format(schema=_OBJECT, native=native)
    schema = named.schema if named.schema is not None else _OBJECT
    problem = strict_problem(schema) if named.strict else None
    if problem is None:
        try:
            Validator(schema)
        except ValueError as wrong:
            problem = str(wrong)
    if problem:
        raise InvalidRequest(f"Invalid schema for response_format '{named.name}': {problem}.", param="response_format")
    return Format(schema=schema, name=named.name, description=named.description or "", native=native)


class JsonText:
    """Lets through the JSON in a text given in any pieces, rewritten where the model wrote it loosely.

    An object leaves member by member, each judged by the schema before it does, so that nothing is ever taken back;
    where the schema does not allow that, the whole is held. `fault` says what is wrong; the members in `kept` have
    left by then and a repair's answer is joined to them.
    """

    def __init__(self, wanted: Format, kept: Mapping[str, Any] | None = None) -> None:
        self._format = wanted
        self._whole = Validator(wanted.schema)
        part = {name: value for name, value in wanted.schema.items() if name not in _COUNTING}
        self._part = Validator(part) if wanted.by_members else None
        self._held = ""
        self._tried = 0
        self._inside = self._over = False
        self._repairing = bool(kept)
        self.kept: dict[str, Any] = dict(kept or {})
        self.fault = ""
        self.refusal = ""

    @property
    def complete(self) -> bool:
        """The JSON has ended, well or badly."""
        return self._over or bool(self.fault)

    @property
    def enough(self) -> bool:
        """The model need not go on; one that ends about now by itself is let to, and measured."""
        return bool(self.fault) or (self._over and len(self._held) > AFTERWORDS)

    def feed(self, text: str) -> str:
        """What may be shown by now."""
        self._held += text
        if self.complete:
            return ""
        if self._part is None or self._repairing:
            return ""
        return self._members()

    def close(self, *, whole: bool = True) -> str:
        """The rest. Of a text that is not `whole`, cut at a length, all that came."""
        if self.complete:
            return ""
        if not whole:
            return self._as_it_is()
        return self._rest() if self._inside and not self._repairing else self._at_once()

    def _members(self) -> str:
        self._begin()
        shown = ""
        # A member is read anew each time more of it came: not at every piece, or long ones would cost squares.
        while self._inside and not self.complete and len(self._held) > self._tried + self._tried // 8:
            before, self._tried = len(self._held), len(self._held)
            shown += self._member()
            if len(self._held) != before:
                self._tried = 0
        return shown

    def _begin(self) -> None:
        found = None if self._inside else _OPENS.search(self._held)
        if found and self._held[found.end() :].strip():
            self._inside, self._held, self._tried = True, self._held[found.end() :], 0

    def _member(self, *, ended: bool = False) -> str:
        """The next member, or the end, if it is there."""
        held = self._held
        at = space(held, 0)
        if held[at : at + 1] == "}" or (ended and at >= len(held)):
            return self._finish()
        try:
            name, inner, end = member_of(held, at, ended=ended)
        except Unfinished:
            return self._fail("the JSON has no end") if ended else ""
        except NotJson as wrong:
            return self._fail(f"it is not JSON: {wrong}")
        self._held = held[end:]
        if name in self.kept:
            return ""
        if self._part and (problems := self._part.problems({name: inner})):
            return self._fail("; ".join(problems))
        try:
            text = f"{',' if self.kept else '{'}{written(name)}:{written(inner)}"
        except NotJson as wrong:
            return self._fail(str(wrong))
        self.kept[name] = inner
        return text

    def _finish(self) -> str:
        if problems := self._whole.problems(self.kept):
            return self._fail("; ".join(problems))
        self._over = True
        return "}" if self.kept else "{}"

    def _rest(self) -> str:
        shown = ""
        while not self.complete:
            shown += self._member(ended=True)
        return shown

    def _at_once(self) -> str:
        """The first object in the text that will do, behind what was kept."""
        begins = [found.start() for found in re.finditer(r"[{\[]", self._held)]
        if self._format.schema.get("type") not in ("object", None):
            begins.append(0)
        for at in begins[:20]:
            try:
                value = value_of(self._held, at, ended=True)[0]
                shown = self._taken(value)
            except NotJson as wrong:
                self._fail(f"it is not JSON: {wrong}")
            else:
                if not self.fault:
                    return shown
        if not begins:
            self._fail("there is no JSON in it")
            if _REFUSING.match(self._held.strip()) and not self._repairing:
                self.fault, self.refusal, self._over = "", self._held.strip(), True
        return ""

    def _taken(self, value: Any) -> str:
        self.fault = ""
        joined = {**value, **self.kept} if self.kept and isinstance(value, dict) else value
        if problems := self._whole.problems(joined):
            return self._fail("; ".join(problems))
        self._over = True
        if not self.kept:
            return written(value)
        return "".join(f",{written(name)}:{written(value[name])}" for name in value if name not in self.kept) + "}"

    def _as_it_is(self) -> str:
        if self._inside:
            return ("," if self.kept else "{") + self._held if self._held.strip() else ""
        found = _OPENS.search(self._held)
        return self._held[found.start() :] if found else ""

    def _fail(self, why: str) -> str:
        self.fault = why
        return ""
