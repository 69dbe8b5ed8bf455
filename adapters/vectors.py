"""Vectors out of whatever shape a model answered in, judged by the value; and as OpenAI's clients want them."""

import binascii
import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from adapters.answers import VECTORS

Vector = Sequence[float]

_LEAST = 64
"""Bytes of a vector in base64: words of a few letters read as base64, too."""


def vectors_of(output: Any) -> list[Vector]:
    """Every vector in an output, in its order: a bare one, lists of them, objects that hold them, JSON in a text,
    float32 in base64."""
    return list(_found(output))


def in_base64(vector: Vector) -> str:
    """Little-endian float32, as the official clients read it."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _found(value: Any) -> Iterator[Vector]:
    if isinstance(value, str):
        yield from _written(value)
    elif isinstance(value, dict):
        held = [each for name, each in value.items() if VECTORS.search(name)]
        for each in held or [each for each in value.values() if isinstance(each, list)]:
            yield from _found(each)
    elif isinstance(value, list) and value and all(_is_number(each) for each in value):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _found(each)


def _written(text: str) -> Iterator[Vector]:
    if text.lstrip().startswith(("[", "{")):
        try:
            yield from _found(json.loads(text))
        except (ValueError, RecursionError):
            return
    elif len(content := _decoded(text)) >= _LEAST and len(content) % 4 == 0:
        yield struct.unpack(f"<{len(content) // 4}f", content)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
