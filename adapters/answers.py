"""The shape of what a model answers with: as its schema declares it, and as its example shows it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from adapters.resolving import Node, Resolver, kind_of, members, number_of

OutputKind = Literal["text", "stream", "file", "files", "vectors", "object", "number", "any"]

VECTORS = re.compile(r"embed|vector|features", re.IGNORECASE)
"""Names under which vectors stand."""


def output_of(node: Node, resolver: Resolver) -> OutputKind:
    """What a node declares; a hint, for schemas are sometimes wrong about it."""
    kind = kind_of(node)
    if kind == "string":
        return "file" if node.get("format") == "uri" else "text"
    if kind in ("integer", "number", "boolean"):
        return "number"
    if kind == "array":
        return _of_list(node, resolver)
    return _of_object(node, resolver) if kind == "object" or "properties" in node else "any"


def _of_object(node: Node, resolver: Resolver) -> OutputKind:
    for name, held in members(node.get("properties")).items():
        if VECTORS.search(name) and kind_of(resolver.resolved(members(held))) == "array":
            return "vectors"
    return "object"


def _of_list(node: Node, resolver: Resolver) -> OutputKind:
    item = resolver.resolved(members(node.get("items")))
    inner = resolver.resolved(members(item.get("items"))) if kind_of(item) == "array" else item
    kind = kind_of(inner)
    if kind == "string":
        return "files" if inner.get("format") == "uri" else "stream"
    if kind in ("integer", "number"):
        return "vectors"
    return _of_object(inner, resolver) if kind == "object" or "properties" in inner else "any"


def is_vector(value: Any) -> bool:
    """An answer that is a vector, a list of them, or holds one under a name that says so."""
    while isinstance(value, list) and value and isinstance(value[0], list):
        value = value[0]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict):
        return any(is_vector(inner) for key, inner in value.items() if VECTORS.search(key))
    return isinstance(value, list) and len(value) >= 16 and all(number_of(each) is not None for each in value)


def names_in(value: Any, depth: int = 4) -> Iterator[str]:
    """The names in an answer, of lists by their first item."""
    if isinstance(value, list) and value and depth:
        yield from names_in(value[0], depth - 1)
    elif isinstance(value, Mapping) and depth:
        yield from map(str, value)
        for each in value.values():
            yield from names_in(each, depth - 1)
