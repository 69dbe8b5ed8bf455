"""Values for a JSON Schema, taken from what somebody said: what a competent model would make of it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w-]|\.\d)")
_QUOTED = re.compile(r"[\"“”]([^\"“”]+)[\"“”]|(?<!\w)'([^']+)'(?!\w)")
_PROPER = re.compile(r"(?<=[^\s.!?:] )[A-Z][\w-]*(?: [A-Z][\w-]*)*")
_FORMATS = {
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT[\d:.+Z-]+"),
    "email": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w"),
    "uri": re.compile(r"https?://\S+"),
}
_SUM = re.compile(r"[\d(][\d\s.+*/()^-]*[\d)]")
_WHOLE = ("query", "question", "text", "message", "prompt", "input", "content", "q", "task", "summary", "answer")
_SUMS = ("expression", "formula", "calculation", "equation")
_LONG = re.compile(r"[^\W\d_]{4,}")
_NOT = re.compile(r"\b(?:not|no|never|without|isn't|don't)\b", re.IGNORECASE)
_DEEPEST = 12
_NOTHING = object()


class Filling:
    """Reads values for one schema after the other out of the same words; what was taken is not taken again."""

    def __init__(self, words: str, definitions: Mapping[str, Any]) -> None:
        self._words = words
        self._definitions = definitions
        self._numbers = _NUMBER.findall(words)
        self._names = [quoted or apart for quoted, apart in _QUOTED.findall(words)] or _PROPER.findall(words)
        self._taken: list[str] = []

    @property
    def names(self) -> list[str]:
        """Everything in the words that is quoted, or else a name."""
        return list(dict.fromkeys(self._names))

    def of(self, schema: Any, name: str = "", *, needed: bool = True, depth: int = 0) -> Any:
        """A value for the schema; `_NOTHING` where none is `needed` and the words hold none."""
        node = self._resolved(schema)
        if depth > _DEEPEST:
            return None
        if "const" in node:
            return node["const"]
        if "enum" in node:
            return self._chosen(node["enum"], node, needed=needed)
        kind = node.get("type")
        if kind == "object" or "properties" in node:
            return self._object(node, depth)
        if kind == "array":
            return self._listed(node, name, needed=needed, depth=depth)
        found = self._plain(str(kind), node, name, needed=needed)
        return None if found is _NOTHING and needed and node.get("nullable") else found

    def _resolved(self, schema: Any) -> dict[str, Any]:
        node = dict(schema) if isinstance(schema, Mapping) else {}
        if isinstance(reference := node.get("$ref"), str):
            return self._resolved(_followed(reference, self._definitions))
        for union in ("anyOf", "oneOf", "allOf"):
            if options := [self._resolved(each) for each in node.get(union) or ()]:
                some = [each for each in options if each.get("type") != "null"]
                return {**(some or options)[0], "nullable": len(some) < len(options)}
        if isinstance(kinds := node.get("type"), list):
            some = [kind for kind in kinds if kind != "null"]
            return {**node, "type": some[0] if some else "null", "nullable": len(some) < len(kinds)}
        return node

    def _object(self, node: Mapping[str, Any], depth: int) -> dict[str, Any]:
        required = node.get("required") or ()
        found = {
            name: self.of(inner, name, needed=name in required, depth=depth + 1)
            for name, inner in (node.get("properties") or {}).items()
        }
        return {name: value for name, value in found.items() if value is not _NOTHING}

    def _chosen(self, choices: list[Any], node: Mapping[str, Any], *, needed: bool) -> Any:
        said = [
            each
            for each in choices
            if each is not None and re.search(rf"\b{re.escape(str(each))}\b", self._words, re.I)
        ]
        if said or not needed:
            return said[0] if said else _NOTHING
        return node.get("default", None if node.get("nullable") else choices[0])

    def _listed(self, node: Mapping[str, Any], name: str, *, needed: bool, depth: int) -> Any:
        least = int(node.get("minItems", 0))
        item = self._resolved(node.get("items") or {"type": "string"})
        if item.get("type") in ("integer", "number"):
            values: list[Any] = [_number(text, str(item["type"])) for text in self._numbers]
            self._numbers = []
        elif item.get("type") == "string" and "enum" not in item:
            values = [each for each in self.names if each not in self._taken]
        else:
            values = [self.of(item, name, depth=depth + 1)]
        while len(values) < least:
            values.append(self.of(item, name, depth=depth + 1))
        return values[: node.get("maxItems", len(values))] if values or needed else _NOTHING

    def _plain(self, kind: str, node: Mapping[str, Any], name: str, *, needed: bool) -> Any:
        if kind in ("integer", "number"):
            return self._counted(kind, node, needed=needed)
        if kind == "boolean":
            return not _NOT.search(self._words) if needed or name in self._words.lower() else _NOTHING
        if kind == "null":
            return None
        return self._text(node, name, needed=needed)

    def _counted(self, kind: str, node: Mapping[str, Any], *, needed: bool) -> Any:
        if not self._numbers and not needed:
            return _NOTHING
        if not self._numbers and node.get("nullable"):
            return None
        value = _number(self._numbers.pop(0), kind) if self._numbers else node.get("default", 0)
        low = node.get("minimum", node.get("exclusiveMinimum", value - 1) + 1)
        return min(max(value, low), node.get("maximum", max(low, value)))

    def _text(self, node: Mapping[str, Any], name: str, *, needed: bool) -> Any:
        if told := _FORMATS.get(str(node.get("format"))):
            found = told.search(self._words)
            return found[0] if found else (_NOTHING if not needed else "")
        if found := re.search(rf"\b{re.escape(name)}(?: is|:|=| called| named) [\"']?([\w-]+)", self._words, re.I):
            return found[1]
        for text in [] if node.get("nullable") else self._texts(name, needed=needed):
            self._taken.append(text)
            return text[: node.get("maxLength", len(text))].ljust(node.get("minLength", 0), ".")
        if not needed:
            return _NOTHING
        return None if node.get("nullable") else node.get("default", "")

    def _texts(self, name: str, *, needed: bool) -> Iterator[str]:
        if name.lower() in _SUMS and (found := max(_SUM.findall(self._words), key=len, default="")):
            yield found.strip()
        if name.lower() in _WHOLE:
            yield self._words.strip()
        yield from (each for each in self.names if each not in self._taken)
        if needed:
            longest = sorted(_LONG.findall(self._words), key=len, reverse=True)
            yield from (each for each in longest if each not in self._taken)


def filled(schema: Mapping[str, Any], words: str) -> Any:
    """A value that is valid by the schema as far as the words, or else its own defaults and bounds, allow."""
    return Filling(words, schema).of(schema)


def several(schema: Mapping[str, Any], words: str) -> list[Any]:
    """One value for each name in the words where the schema's one required text could be any of them."""
    required = schema.get("required") or ()
    texts = [
        name
        for name, inner in (schema.get("properties") or {}).items()
        if name in required and inner.get("type") == "string" and not set(inner) & {"enum", "format"}
    ]
    names = Filling(words, schema).names
    whole = filled(schema, words)
    if len(texts) != 1 or texts[0].lower() in (*_WHOLE, *_SUMS) or len(names) < 2:
        return [whole]
    return [{**whole, texts[0]: name} for name in names]


def _followed(reference: str, root: Mapping[str, Any]) -> Any:
    node: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        node = node.get(step) if step and isinstance(node, Mapping) else node
    return node


def _number(text: str, kind: str) -> int | float:
    return int(float(text)) if kind == "integer" else float(text) if "." in text else int(text)
