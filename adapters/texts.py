"""How a model takes texts to embed: one, a list, JSON, or lines."""

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from adapters.errors import InvalidRequest, Unsupported
from adapters.schema import Input, Schema

Form = Literal["list", "json", "lines", "separated", "one"]

_MANY = (
    "texts", "text_batch", "text_list", "inputs", "input_texts", "sentences", "documents", "passages", "queries",
    "query_texts", "prompts", "batch", "chunks",
)  # fmt: skip
_ONE = ("text", "input", "input_text", "text_input", "prompt", "sentence", "passage", "document", "query", "content")
_SEPARATORS = ("separator", "delimiter", "prompt_separator", "text_separator")
_JSON = re.compile(r"json", re.IGNORECASE)
_LINES = re.compile(r"new[- ]?lines?\b|per line|separate lines|\\n", re.IGNORECASE)
_ADDRESSES = re.compile(r"https?\b|\bur[il]s?\b", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_SELDOM = re.compile(r"instruct|task|prefix|format|model|separator|delimiter|key|token|path|url", re.IGNORECASE)


class Place(Struct, frozen=True, kw_only=True):
    """The input that texts go to, and how it holds several of them. Where `addresses`, it reads a text that begins like
    an address as a picture's."""

    input: Input
    form: Form
    separator: str = "\n"
    addresses: bool = False

    @property
    def several(self) -> bool:
        return self.form != "one"

    def holding(self, texts: Sequence[str]) -> Any:
        """The input's value for these texts."""
        if self.form == "list":
            return list(texts)
        if self.form == "json":
            return json.dumps(list(texts), ensure_ascii=False)
        return self.separator.join(texts)

    def fit(self, text: str, place: str) -> str:
        """The text as this input can carry it. Raises InvalidRequest or Unsupported where it cannot."""
        if self.form != "lines":
            return text
        line = " ".join(each.strip() for each in text.splitlines()).strip()
        if not line:
            raise InvalidRequest(
                f"Invalid '{place}': this model embeds no blank text.", param=place, code="invalid_value"
            )
        if self.addresses and _ADDRESS.match(line):
            raise Unsupported(
                'This model takes a text that begins with http:// or https:// for a picture: send {"image": …}, or put '
                "a word before it.",
                param=place,
                code="unsupported_value",
            )
        return line


def place_for(schema: Schema, first: Sequence[str] = (), form: Form | None = None) -> Place | None:
    """The input called so, else one that the model cannot do without, else one for several, else one for one."""
    texts = [each for each in schema if _takes_texts(each)]
    told = [each for each in texts if each.name in first]
    usual = [each for name in (*_MANY, *_ONE) for each in texts if each.name == name]
    others = [each for each in texts if not _SELDOM.search(each.name)]
    needed = [each for each in (*usual, *others) if not each.settled]
    places = [_place(each, schema) for each in told or needed or usual or others]
    found = next((place for place in places if place.several), next(iter(places), None))
    if found and form:
        return Place(input=found.input, form=form, separator=found.separator, addresses=found.addresses)
    return found


def _place(given: Input, schema: Schema) -> Place:
    shown = [each for each in (given.default, schema.example.get(given.name)) if isinstance(each, str)]
    if given.many:
        return Place(input=given, form="list")
    if _JSON.search(given.words) or any(map(_is_json, shown)):
        return Place(input=given, form="json")
    lines = [line for each in shown for line in each.splitlines()]
    if _LINES.search(given.words) or (given.name in _MANY and len(lines) > len(shown)):
        addresses = _ADDRESSES.search(given.words) or any(map(_ADDRESS.match, lines))
        return Place(input=given, form="lines", addresses=bool(addresses))
    separator = schema.get(*_SEPARATORS)
    if separator and isinstance(separator.default, str) and separator.default:
        return Place(input=given, form="separated", separator=separator.default)
    return Place(input=given, form="one")


def _takes_texts(given: Input) -> bool:
    return given.text or (given.many and given.item in ("string", "any") and not given.medium)


def _is_json(shown: str) -> bool:
    if not shown.lstrip().startswith("["):
        return False
    try:
        return all(isinstance(each, str) for each in json.loads(shown))
    except (ValueError, TypeError):
        return False
