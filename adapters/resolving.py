"""The nodes of a Replicate OpenAPI document, references and unions followed; and the same as plain JSON Schema."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

Node = dict[str, Any]
Kind = Literal["string", "integer", "number", "boolean", "array", "object", "any"]

_KINDS: Mapping[str, Kind] = {kind: kind for kind in ("string", "integer", "number", "boolean", "array", "object")}

_DEPTH = 12
_MARKS = ("default", "description", "title", "x-order", "nullable")


class Resolver:
    """Follows `$ref`, `allOf`, `anyOf` and `oneOf` to one flat node. A reference to nowhere is an empty node."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def component(self, name: str) -> Node:
        """`components.schemas.<name>`, or {}."""
        return self._followed(f"#/components/schemas/{name}")

    def resolved(self, node: Node, depth: int = 0) -> Node:
        """`node` with what it refers to merged in; what stands beside a reference wins over what it refers to."""
        if depth > _DEPTH:
            return {}
        flat: Node = {}
        if isinstance(node.get("$ref"), str):
            flat |= self.resolved(self._followed(node["$ref"]), depth + 1)
        for part in _nodes(node.get("allOf")):
            flat |= self.resolved(part, depth + 1)
        for union in ("anyOf", "oneOf"):
            if options := _nodes(node.get(union)):
                flat |= self._united([self.resolved(option, depth + 1) for option in options])
        flat |= {key: value for key, value in node.items() if key not in ("$ref", "allOf", "anyOf", "oneOf")}
        return _one_type(flat)

    def _united(self, options: list[Node]) -> Node:
        given = [option for option in options if option.get("type") != "null"]
        flat: Node = {"nullable": True} if len(given) < len(options) else {}
        if not given:
            return flat
        if all("enum" in option for option in given):
            return flat | given[0] | {"enum": [value for option in given for value in option["enum"]]}
        kinds = {option.get("type") for option in given}
        # Several kinds may do: a list says most about how to fill it, an unlike pair says nothing.
        lists = [option for option in given if option.get("type") == "array"]
        if len(kinds) > 1 and not lists:
            return flat
        return (lists or given)[0] | flat

    def _followed(self, reference: str) -> Node:
        node: Any = self._document
        for step in reference.removeprefix("#/").split("/"):
            node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
        return dict(node) if isinstance(node, Mapping) else {}


def kind_of(node: Node) -> Kind:
    """The JSON type of a node, or that of the values it lists."""
    declared = node.get("type")
    if isinstance(declared, str):
        return _KINDS.get(declared, "any")
    values = [value for value in node.get("enum") or () if value is not None]
    if values and all(isinstance(value, str) for value in values):
        return "string"
    if values and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return "integer"
    return "array" if "items" in node else "any"


def number_of(value: Any) -> float | None:
    """A number; None for anything else, booleans too."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def members(value: Any) -> Node:
    """An object of a document; {} for what is none."""
    return dict(value) if isinstance(value, Mapping) else {}


def validatable(declared: Node, document: Mapping[str, Any]) -> Node:
    """The inputs' schema as JSON Schema 2020-12: OpenAPI 3.0's `nullable` and boolean bounds are rewritten, and the
    components stand beside it so that references still lead somewhere."""
    components = document.get("components")
    schemas = components.get("schemas") if isinstance(components, Mapping) else None
    properties = _each_rewritten(declared.get("properties"))
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in declared.get("required") or () if isinstance(name, str)],
        "components": {"schemas": _referred(properties, schemas if isinstance(schemas, Mapping) else {})},
    }


def _referred(node: Any, schemas: Mapping[str, Any]) -> Node:
    """The components that are referred to, and what they refer to: most of a document is not about inputs."""
    found: Node = {}
    waiting = [node]
    while waiting:
        for name in _references(waiting.pop()):
            if name in schemas and name not in found:
                found[name] = _rewritten(schemas[name])
                waiting.append(found[name])
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _references(each)
    elif isinstance(node, Mapping):
        if isinstance(reference := node.get("$ref"), str):
            yield reference.removeprefix("#/components/schemas/").partition("/")[0]
        for each in node.values():
            yield from _references(each)


def _each_rewritten(named: Any) -> Node:
    return {name: _rewritten(node) for name, node in named.items()} if isinstance(named, Mapping) else {}


def _rewritten(node: Any) -> Any:
    if isinstance(node, list):
        return [_rewritten(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    plain = {
        key: _each_rewritten(value) if key == "properties" else _rewritten(value)
        for key, value in node.items()
        if key not in _MARKS
    }
    _rebound(plain, "minimum", "exclusiveMinimum")
    _rebound(plain, "maximum", "exclusiveMaximum")
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain


def _rebound(node: Node, bound: str, exclusive: str) -> None:
    # OpenAPI 3.0 writes `exclusiveMinimum: true` beside the number, JSON Schema the number itself.
    if isinstance(node.get(exclusive), bool) and node.pop(exclusive) and bound in node:
        node[exclusive] = node.pop(bound)


def _nodes(value: Any) -> list[Node]:
    return [dict(each) for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _one_type(node: Node) -> Node:
    kinds = node.get("type")
    if isinstance(kinds, list):
        some = [kind for kind in kinds if kind != "null"]
        node["nullable"] = len(some) < len(kinds) or bool(node.get("nullable"))
        node["type"] = some[0] if len(some) == 1 else None
    if "const" in node and "enum" not in node:
        node["enum"] = [node["const"]]
    if None in (node.get("enum") or ()):
        node["nullable"] = True
    return node
