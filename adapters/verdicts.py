"""What a safety model said, out of whatever shape: the labels it gave, and how sure it is of each."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from adapters.outputs import text_of

SAFE = frozenset({"safe", "normal", "sfw", "ok", "neutral", "clean", "none"})
"""Labels of what nothing is wrong with."""

_WORD = re.compile(r"[A-Za-z][\w-]*")
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)")
_LABELS, _SCORES = ("label", "tag", "class", "name"), ("score", "confidence", "probability")


def verdict_of(output: Any, most: float | None = None) -> Mapping[str, float] | None:
    """Labels and scores from 0 to 1, `safe` and the like among them; None for an answer that is no verdict.

    `most` is the highest number of a model that rates: its rating is the score of the label `rating`.
    """
    if isinstance(output, dict) or (isinstance(output, list) and any(isinstance(each, dict) for each in output)):
        return dict(_scored(output)) or None
    text = text_of(output).strip()
    if most is not None:
        rated = _NUMBER.match(text)
        return {"rating": min(1.0, float(rated[1]) / most)} if rated else None
    head, _, tail = text.partition("\n")
    word = head.strip().lower()
    if word != "unsafe":
        return {word: 1.0} if _WORD.fullmatch(word) else None
    return dict.fromkeys(map(str.upper, _WORD.findall(tail)), 1.0) or {"unsafe": 1.0}


def _scored(value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, list):
        for each in value:
            yield from _scored(each)
        return
    if not isinstance(value, dict):
        return
    label = next((value[name] for name in _LABELS if isinstance(value.get(name), str)), None)
    if label is not None:
        yield label.lower(), next((number for name in _SCORES if (number := _score(value.get(name))) is not None), 1.0)
        return
    for name, each in value.items():
        if (number := _score(each)) is not None:
            yield name.lower(), number


def _score(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None
