"""Text and files out of whatever shape a model answered in, judged by the value."""

import json
from collections.abc import Iterator
from typing import Any

TEXT_KEYS = ("text", "response", "output", "answer", "content", "generated_text", "completion", "message", "result")
FILE_KEYS = ("file", "image", "images", "output", "url", "urls", "path", "files", "result")


def text_of(output: Any) -> str:
    """A string as it is, a list joined with nothing between, an object's text field, else the value as JSON."""
    if output is None:
        return ""
    if isinstance(output, str):
        return output
    if isinstance(output, list) and set(map(type, output)) <= {str}:
        return "".join(output)
    if isinstance(output, list) and not any(isinstance(each, (dict, list)) for each in output):
        return "".join(each if isinstance(each, str) else _json(each) for each in output if each is not None)
    if isinstance(output, list):
        return _joined(output)
    if isinstance(output, dict) and (key := _text_key(output)):
        return str(output[key])
    return _json(output)


def files_of(output: Any) -> list[str]:
    """Every address in an output, in its order: a URL, lists of them, lists of lists, objects that hold them."""
    return list(dict.fromkeys(_addresses(output)))


def is_address(text: str) -> bool:
    """A URL or a data URI, and nothing else."""
    return text.startswith(("https://", "http://", "data:")) and not any(space in text[:2000] for space in " \n\t")


def _joined(items: list[Any]) -> str:
    # The old form of text lists: [{"text": …}], one object per line or per candidate.
    texts = [str(each[key]) for each in items if isinstance(each, dict) and (key := _text_key(each))]
    if texts and len(texts) == len(items):
        return "\n".join(texts)
    return text_of(items[0]) if len(items) == 1 else _json(items)


def _text_key(held: dict[str, Any]) -> str | None:
    return next((key for key in TEXT_KEYS if isinstance(held.get(key), str)), None)


def _addresses(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if is_address(value):
            yield value
    elif isinstance(value, list):
        for each in value:
            yield from _addresses(each)
    elif isinstance(value, dict):
        first = [value[key] for key in FILE_KEYS if key in value]
        for each in first or value.values():
            yield from _addresses(each)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
