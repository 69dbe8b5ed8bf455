"""The rule for conversations: which of a model's inputs they go to, and written how."""

import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from adapters.conversations import Attached, Conversation
from adapters.errors import MissingParameter, Unsupported
from adapters.pictures import places_for
from adapters.schema import Input, Schema
from adapters.templates import TRANSCRIPT, Said, Template, template_shown
from adapters.wire.replicate import Inputs

MESSAGES = ("messages", "message_list", "chat_messages")
PROMPTS = (
    "prompt", "message", "text", "input", "input_text", "text_input", "query", "question", "user_query", "user_prompt",
    "user_input", "user_message", "instruction", "input_prompt", "text_prompt", "inputs", "input_str", "content", "nlq",
    "prompts", "sentence", "caption",
)  # fmt: skip
SYSTEMS = ("system_prompt", "system_message", "system_instruction", "system_instructions", "system", "instructions")
HISTORIES = ("message_history", "chat_history", "conversation_history", "history")
_THINGS: Mapping[str, str] = {"image": "images", "audio": "audio", "video": "videos", "file": "files"}
WHOLE = "{prompt}"
"""A `prompt_template` that adds nothing."""

_NEVER = re.compile(
    r"json|ur[il]|link|path|file|token|secret|key|password|cookie|mail|negative|weights|lora|workflow|^id$|_id$",
    re.IGNORECASE,
)
"""Free texts of such names are no place for a person's words, however alone they stand."""
_SELDOM = re.compile(
    r"model|settings|format|scheduler|sampler|lang|voice|code|api|seed|grammar|schema|version|size|ratio|style|mode$|name$",
    re.IGNORECASE,
)
"""Nor of such names, unless the model can do with nothing else."""
_SYSTEM_PLACES = ("{system_prompt}", "{system_message}", "{system}")


class Manner(Struct, frozen=True, kw_only=True):
    """What the schema does not tell of a family's prompts.

    `template` is the markup it was trained on; `base` says it was trained on none and only goes on writing, and `raw`
    that the words are no turn but a text to go on with;
    `mention` is how its prompt speaks of a picture's input (`{name}`); `asking` are inputs that go with words,
    `showing` those that go with a picture alone.
    """

    template: Template | None = None
    base: bool = False
    raw: bool = False
    mention: str = ""
    asking: Mapping[str, Any] = {}
    showing: Mapping[str, Any] = {}
    prompts: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


class Placed(Struct, frozen=True):
    """The inputs a conversation became, where the model must stop, and whether its words found no place."""

    inputs: Inputs
    stops: tuple[str, ...] = ()
    wordless: bool = False


def placed(talk: Conversation, schema: Schema, manner: Manner, *, native: bool = False) -> Placed:
    """The conversation as this model's inputs: a list of messages where it takes one, else a prompt. `native` says
    that the model knows tools: calls and results then stand in the list as they came.

    Raises Unsupported for files the model has no place for.
    """
    carrier = carrier_of(schema, manner)
    listing = schema.get(*MESSAGES) or _told_by_list(carrier, schema)
    alone = len(talk.turns) == 1
    if listing and not (talk.files and carrier and alone):
        return Placed({listing.name: _listed(talk, listing, native=native)})
    files, names = _files(talk, schema, manner)
    silent = not talk.text.strip()
    if carrier is None and not files:
        raise Unsupported("This model takes no text.", param="messages")
    if carrier is None:
        return Placed(files, wordless=not silent)
    if silent and files and carrier.settled:
        return Placed({**files, **manner.showing})
    if manner.mention and names:
        talk = _mentioning(talk, [manner.mention.format(name=name) for name in names])
    words = _prompted(talk, carrier, schema, manner)
    return Placed({**files, **words.inputs, **manner.asking}, words.stops)


def _told_by_list(carrier: Input | None, schema: Schema) -> Input | None:
    """A prompt whose own default or example is a list of messages in JSON wants one."""
    for shown in (carrier.default, schema.example.get(carrier.name)) if carrier and carrier.kind == "string" else ():
        if isinstance(shown, str) and shown.lstrip().startswith("[") and '"role"' in shown:
            return carrier
    return None


def carrier_of(schema: Schema, manner: Manner | None = None) -> Input | None:
    """The input that takes the client's words: what the family says, else one the model cannot do without, else one
    of a usual name, else the only text there is."""
    if manner and (told := schema.get(*manner.prompts)):
        return told
    return schema.known(_usual)


def _usual(schema: Schema) -> Input | None:
    named = [found for name in PROMPTS if (found := schema.get(name)) and _wordy(found)]
    others = (*SYSTEMS, *HISTORIES, *MESSAGES, "prompt_template")
    free = [each for each in schema if each.text and each.name not in others and not _NEVER.search(each.name)]
    texts = [each for each in free if not _SELDOM.search(each.name)]
    needed = [each for each in (*named, *texts) if not each.settled]
    likely = [each for each in texts if any(part in each.name.lower() for part in ("prompt", "text", "question"))]
    last = [each for each in free if not each.settled]
    return next(iter([*needed, *named, *likely, *(texts if len(texts) == 1 else ()), *last]), None)


def _wordy(given: Input) -> bool:
    return given.text or (given.many and given.item in ("string", "any") and not given.medium)


def _prompted(talk: Conversation, carrier: Input, schema: Schema, manner: Manner) -> Placed:
    system = schema.get(*manner.systems, *SYSTEMS)
    if template_input := schema.get("prompt_template"):
        return _templated(talk, carrier, template_input, schema, manner)
    if (history := schema.get(*HISTORIES)) and len(talk.said) > 1:
        return _remembered(talk, carrier, system, history)
    template = manner.template or template_shown(carrier.default, schema.example.get(carrier.name))
    if system is None and template and carrier.kind != "array":
        return _rendered(talk, carrier, template)
    return _plain(talk, carrier, system, manner)


def _templated(talk: Conversation, carrier: Input, asked: Input, schema: Schema, manner: Manner) -> Placed:
    system = schema.get(*manner.systems, *SYSTEMS)
    own = asked.default if isinstance(asked.default, str) else str(schema.example.get(asked.name) or "")
    template = manner.template or template_shown(own)
    manner = replace(manner, template=template)
    holds_system = system is not None and any(place in own for place in _SYSTEM_PLACES)
    marked = WHOLE in own and own.strip() != WHOLE
    if own and WHOLE not in own:
        # A template with places of its own (a table, a question) is the model's business.
        return _plain(talk, carrier, system, manner)
    if _single(talk) and marked and (holds_system or not talk.system):
        return _plain(talk, carrier, system if holds_system else None, manner)
    if template is None and not own and system is not None:
        return _plain(talk, carrier, system, manner)
    if template is None and _single(talk) and not talk.system:
        return _plain(talk, carrier, None, manner)
    whole = _rendered(talk, carrier, template or TRANSCRIPT)
    return Placed({**whole.inputs, asked.name: WHOLE}, whole.stops)


def _rendered(talk: Conversation, carrier: Input, template: Template) -> Placed:
    return Placed({carrier.name: template.render(talk.system, talk.said)}, template.stops)


def _plain(talk: Conversation, carrier: Input, system: Input | None, manner: Manner) -> Placed:
    """The user's words as they are if there are no others, else a transcript; the system's words in their own field
    where there is one. The model marks the turns itself, so what looks like its marks loses its power here too."""
    clean = manner.template.neutral if manner.template else str
    apart: Inputs = {system.name: clean(talk.system)} if system and talk.system else {}
    rest = "" if apart else clean(talk.system)
    if _single(talk) and not (rest and not manner.base):
        text = "\n\n".join(filter(None, (rest, clean(talk.said[0].text))))
        stops = TRANSCRIPT.stops if manner.base and not manner.raw else ()
        return Placed({carrier.name: _shaped(text, carrier), **apart}, stops)
    said = tuple(Said(turn.role, clean(turn.text)) for turn in talk.said)
    return Placed({carrier.name: _shaped(TRANSCRIPT.render(rest, said), carrier), **apart}, TRANSCRIPT.stops)


def _remembered(talk: Conversation, carrier: Input, system: Input | None, history: Input) -> Placed:
    *past, last = talk.said
    if last.role != "user":
        past, last = [*past, last], Said("user", "")
    apart: Inputs = {system.name: talk.system} if system and talk.system else {}
    if talk.system and not apart:
        past = [Said("system", talk.system), *past]
    if history.kind == "array" and history.item == "string":
        # Such lists have no roles: user and assistant by turns, the user first.
        first = next((i for i, turn in enumerate(past) if turn.role == "user"), len(past))
        opening = "\n\n".join(turn.text for turn in past[:first])
        turns = [turn.text for turn in past[first:]]
        if opening and turns:
            turns[0] = f"{opening}\n\n{turns[0]}"
        elif opening:
            last = Said("user", f"{opening}\n\n{last.text}")
        told: Any = turns
    else:
        turns_told = [{"role": turn.role, "content": turn.text} for turn in past]
        told = turns_told if history.kind in ("array", "any") else json.dumps(turns_told, ensure_ascii=False)
    return Placed({carrier.name: _shaped(last.text, carrier), history.name: told, **apart})


def _single(talk: Conversation) -> bool:
    return len(talk.said) == 1 and talk.said[0].role == "user"


def _shaped(text: str, carrier: Input) -> Any:
    return [text] if carrier.kind == "array" else text


def _listed(talk: Conversation, listing: Input, *, native: bool) -> Any:
    system: list[Mapping[str, Any]] = [{"role": "system", "content": talk.system}] if talk.system else []
    messages = [
        *system,
        *(
            turn.message if native and turn.message else {"role": turn.role, "content": _content(turn.text, turn.files)}
            for turn in talk.turns
        ),
    ]
    return json.dumps(messages, ensure_ascii=False) if listing.kind == "string" else messages


def _content(text: str, files: tuple[Attached, ...]) -> Any:
    if not files:
        return text
    for each in files:
        if each.medium != "image":
            raise Unsupported(f"This model takes no {each.medium}.", param=each.path)
    pictures = [{"type": "image_url", "image_url": {"url": each.address}} for each in files]
    return [*([{"type": "text", "text": text}] if text else []), *pictures]


def _mentioning(talk: Conversation, mentions: list[str]) -> Conversation:
    waiting = iter(mentions)
    turns = []
    for turn in talk.turns:
        here = [next(waiting, "") for _ in turn.files]
        turns.append(type(turn)(turn.role, "\n".join([*here, turn.text]), turn.files))
    return Conversation(talk.system, tuple(turns))


def _files(talk: Conversation, schema: Schema, manner: Manner) -> tuple[Inputs, list[str]]:
    inputs: Inputs = {}
    names: list[str] = []
    attached = talk.files
    for medium in ("image", "audio", "video", "file") if attached else ():
        given = [each for each in attached if each.medium == medium]
        if given:
            inputs |= _attached(given, places_for(schema, medium, manner.images), names)
    for needed in schema.files:
        if needed.medium in ("image", "audio", "video") and not needed.settled and needed.name not in inputs:
            _refuse_without(needed)
    return inputs, names


def _refuse_without(needed: Input) -> None:
    if needed.medium == "audio":
        raise Unsupported("This model listens to a recording: use /v1/audio/transcriptions.", param="model")
    raise MissingParameter(
        f"Missing required parameter: '{needed.name}'. This model answers about {_a(needed.medium)}: "
        f"put {'it' if needed.medium else 'one'} into a message.",
        param=needed.name,
    )


def _a(medium: str | None) -> str:
    return "an image" if medium == "image" else f"a {medium}"


def _attached(given: list[Attached], places: list[Input], names: list[str]) -> Inputs:
    if not places:
        hint = ": send their text, or pictures of them" if given[0].medium == "file" else ""
        raise Unsupported(f"This model takes no {_THINGS[given[0].medium]}{hint}.", param=given[0].path)
    if many := next((place for place in places if place.many), None):
        if many.longest is not None and len(given) > many.longest:
            most = f"This model takes {many.longest} {_THINGS[given[0].medium]} at most."
            raise Unsupported(most, param=given[many.longest].path)
        names.append(many.name)
        return {many.name: [each.address for each in given]}
    if len(given) > len(places):
        things = given[0].medium if len(places) == 1 else _THINGS[given[0].medium]
        raise Unsupported(f"This model takes {len(places)} {things} at most.", param=given[len(places)].path)
    names.extend(place.name for place in places[: len(given)])
    return {place.name: each.address for place, each in zip(places, given, strict=False)}
