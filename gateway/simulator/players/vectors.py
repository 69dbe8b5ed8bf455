"""Models that turn texts into vectors: of length one, the same for the same text, nearer for texts more alike."""

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.simulator.performance import Performance, Piece
from gateway.simulator.players.part import Part

DIMENSIONS = 384
_LISTS = ("texts", "text_batch", "batch")
_LINES = ("inputs", "sentences")
_SINGLES = ("text", "prompt", "input", "passage", "query")
_WORD = re.compile(r"\w+")


def vectors(part: Part) -> Performance:
    """Return one vector per text, in the shape of the model's example."""
    texts = _texts(part.inputs)
    found = [_shaped(part, text) for text in texts]
    counts = {"token_input_count": sum(len(_WORD.findall(text)) for text in texts)}
    return Performance(
        pieces=(Piece(_gathered(part.example, texts, found)),),
        listed=False,
        streams=False,
        counts=lambda put_out: counts if part.model.ways.counts == "billing" else {},
    )


def _gathered(example: Any, texts: list[str], found: list[Any]) -> Any:
    """Return one vector, a list of them, or either under the name it has in the example."""
    match example:
        case [int() | float(), *_]:
            return found[0]
        case {"embedding": shown} | {"embeddings": shown} | {"vectors": shown}:
            name = next(key for key, value in example.items() if value is shown)
            return ({"text": texts[0]} if "text" in example else {}) | {name: _gathered(shown, texts, found)}
    return found


def _texts(inputs: Mapping[str, Any]) -> list[str]:
    for name in _LISTS:
        if (value := inputs.get(name)) and (listed := _listed(value)):
            return listed
    for name in _LINES:
        if isinstance(value := inputs.get(name), str) and value:
            return value.split("\n")
    for name in _SINGLES:
        if value := inputs.get(name):
            return [str(item) for item in value] if isinstance(value, list) else [str(value)]
    if isinstance(value := inputs.get("prompts"), str):
        return value.split(str(inputs.get("prompt_separator") or "\n\n"))
    return [""]


def _listed(value: Any) -> list[str]:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return []
    return [str(item) for item in value] if isinstance(value, list) else []


def _shaped(part: Part, text: str) -> Any:
    embedded = vector(text)
    declared = part.version.schema.output.get("items", {}).get("properties", {})
    match part.example:
        case [{"embedding": _} as shown, *_]:
            declared = declared | shown
    if "embedding" not in declared:
        return embedded
    return {"input": text, "embedding": embedded} if "input" in declared else {"embedding": embedded}


def vector(text: str) -> list[float]:
    """Return the unit vector of a text: its words and their trigrams, each thrown into a few dimensions."""
    sums = [0.0] * DIMENSIONS
    words = _WORD.findall(text.lower()) or [""]
    for word in words:
        _throw(sums, word, 1.0)
        for place in range(len(word) - 2):
            _throw(sums, word[place : place + 3], 0.3)
    norm = math.sqrt(sum(value * value for value in sums)) or 1.0
    return [round(value / norm, 8) for value in sums]


def _throw(sums: list[float], feature: str, weight: float) -> None:
    digest = hashlib.blake2b(feature.encode(), digest_size=24).digest()
    for place in range(0, 24, 4):
        index = int.from_bytes(digest[place : place + 3]) % DIMENSIONS
        sums[index] += weight if digest[place + 3] & 1 else -weight
