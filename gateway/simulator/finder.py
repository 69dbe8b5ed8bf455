"""Finding models by words."""

import re
from collections.abc import Iterable

from gateway.simulator.records import Model

_WORD = re.compile(r"[a-z0-9]+")


def ranked(models: Iterable[Model], text: str) -> list[tuple[Model, float]]:
    """Return the models that share words with a text, the best first, each with a score from 0 to 1."""
    wanted = set(_WORD.findall(text.lower()))
    if not wanted:
        return []
    scored = ((model, len(wanted & words(model)) / len(wanted)) for model in models)
    found = [(model, score) for model, score in scored if score > 0]
    return sorted(found, key=lambda pair: (-pair[1], -pair[0].record["run_count"], pair[0].full_name))


def words(model: Model) -> set[str]:
    """Return the words a model is found by."""
    text = f"{model.full_name} {model.ways.plays} {model.record.get('description') or ''}"
    return set(_WORD.findall(text.lower()))
