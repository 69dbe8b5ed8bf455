"""What the text models say: short, the same every time, and about what they were told."""

import hashlib
import itertools
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.simulator.conversation import Conversation
from gateway.simulator.errands import errand_of, run
from gateway.simulator.scenes import Scene

_TOKEN = re.compile(r"\n+|[ ]?[^\W_]{1,6}|[ ]?[^\s\w]|[ ]?_+|\s")
_WORD = re.compile(r"[^\W\d_]{4,}")
_LIMITS = ("max_tokens", "max_new_tokens", "max_completion_tokens", "max_output_tokens", "max_length")
_MINIMA = ("min_tokens", "min_new_tokens")
_STOPS = ("stop_sequences", "stop")
_CODE = re.compile(r"```.*?```", re.DOTALL)
_QUESTION_MARKS = ("?", "？", "؟")
_STOP_MARKS = (*_QUESTION_MARKS, ".", "!", "…", "。", "！", "۔", "।")
_QUOTED = 240
_LONGEST = 20_000  # tokens; some old schemas set no bound

_THOUGHTS = (
    "There is more than one way to look at {topic}.",
    "The plain answer about {topic} comes first, the details after.",
    "What matters most here is {topic}, so I begin with it.",
    "One example says more about {topic} than three rules.",
    "Whoever asks about {topic} usually wants to know what to do next.",
    "A short list would help: what {topic} is, why it matters, and what follows.",
    "I would start small with {topic} and look at the result before going on.",
    "If anything about {topic} is still unclear, ask me again in other words.",
)


def tokens(text: str) -> list[str]:
    """Cut a text into the pieces it is counted and streamed in; joined, they are the text again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """Count a text's tokens."""
    return len(tokens(text))


def write(conversation: Conversation, inputs: Mapping[str, Any], model: str, scene: Scene) -> tuple[list[str], str]:
    """Return the tokens of the answer, cut where the input says, and why it ends: `stop` or `length`."""
    text = scene.text if scene.text is not None else _answer(conversation, inputs, model, scene)
    text = _stopped(text, inputs)
    pieces = tokens(text)
    limit = _first_int(inputs, _LIMITS)
    if limit is not None and len(pieces) > limit:
        return pieces[:limit], "length"
    return pieces, "stop"


def _answer(conversation: Conversation, inputs: Mapping[str, Any], model: str, scene: Scene) -> str:
    if scene.reply == "echo":
        return conversation.words
    errand = errand_of(conversation, inputs)
    answer = (errand and run(errand, scene)) or _composed(conversation, inputs, model)
    if not scene.thinks:
        return answer
    topic = _topic(conversation.words)
    return (
        f"<think>\nThe person wants to hear about {topic}. "
        f"I go through what was said once more and then answer briefly.\n</think>\n\n{answer}"
    )


def _composed(conversation: Conversation, inputs: Mapping[str, Any], model: str) -> str:
    sentences = _sentences(conversation, model, seeded(inputs, model))
    least = min(_first_int(inputs, _MINIMA) or 0, _LONGEST)
    said = list(itertools.islice(sentences, 5))
    length = count(" ".join(said))
    while length < least:
        sentence = next(sentences)
        said.append(sentence)
        length += count(" " + sentence)
    code = _CODE.search(conversation.words)
    return " ".join(said) + (f" Here is your code again:\n\n{code[0]}" if code else "")


def _sentences(conversation: Conversation, model: str, chance: random.Random) -> Iterator[str]:
    words = _CODE.sub("[code]", conversation.words)
    asked = words.rstrip().endswith(_QUESTION_MARKS)
    yield f"You {'asked' if asked else 'said'}: {_quoted(words, _QUOTED)}" if words.strip() else "You said nothing yet."
    if conversation.earlier:
        yield f"Before that you said: {_quoted(conversation.earlier)}"
    if conversation.system:
        yield f"I keep to what I was told: {_quoted(conversation.system)}"
    if conversation.pictures:
        yield f"I was shown {conversation.pictures} picture{'s' if conversation.pictures > 1 else ''}."
    topic = _topic(words)
    yield f"I am {model}, simulated, so take this as a rehearsal."
    while True:
        for thought in chance.sample(_THOUGHTS, len(_THOUGHTS)):
            yield thought.format(topic=topic)


def _quoted(text: str, longest: int = 80) -> str:
    """Quote a text as the end of a sentence: on one line, and with a full stop where it has none of its own."""
    line = _cut(" ".join(text.split()), longest)
    return f'"{line}"' if line.endswith(_STOP_MARKS) else f'"{line}".'


def _cut(line: str, longest: int) -> str:
    return line if len(line) <= longest else line[:longest].rsplit(" ", 1)[0] + "…"


def _topic(words: str) -> str:
    found = _WORD.findall(words)
    return f'"{_cut(max(found, key=len), 30)}"' if found else "that"


def _stopped(text: str, inputs: Mapping[str, Any]) -> str:
    given = next((inputs[name] for name in _STOPS if inputs.get(name)), "")
    stops = given.split(",") if isinstance(given, str) else [stop for stop in given if isinstance(stop, str)]
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text


def _first_int(inputs: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((value for name in names if isinstance(value := inputs.get(name), int) and value >= 0), None)


def seeded(inputs: Mapping[str, Any], model: str) -> random.Random:
    """Return chance that is the same for the same model, input and seed."""
    text = repr((model, sorted((key, repr(value)) for key, value in inputs.items())))
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))
