"""Chat completions: messages in, an answer out, whole or in pieces."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from adapters.base import Adapter, Prepared, Rule, Stamp, Table
from adapters.conversations import conversation, instructed, unheard
from adapters.efforts import reasoning_effort
from adapters.errors import Unsupported
from adapters.fanout import seeded
from adapters.formats import Format, format_of
from adapters.functions import HERMES, Convention, Tools, tools_of
from adapters.limits import MAX_TOKENS, limited
from adapters.natives import fitting, format_inputs, holds, tool_inputs, tools_input
from adapters.prompts import Manner, Placed, placed
from adapters.refusals import refuse_other_kinds
from adapters.schema import Schema
from adapters.streams import ChatStream
from adapters.tables import Draft, into, nowhere, substituted
from adapters.templates import template_named
from adapters.usage import Counted
from adapters.wire.chat import ChatRequest
from adapters.wire.chatted import ChatCompletion
from adapters.wire.replicate import Inputs, Prediction
from adapters.wire.tools import ResponseFormat

_STOPS = ("stop_sequences", "stop", "stop_sequence", "stop_words", "stop_strings", "stop_tokens")
_SEARCHES = {"web_search", "enable_web_search", "google_search", "use_search", "search"}


def _temperature(value: Any, schema: Schema) -> Inputs:
    # Some models sample only when told to, and then not at zero.
    sampling = schema.get("do_sample")
    found = schema.get("temperature", "temp")
    if sampling is None or sampling.kind != "boolean":
        return {found.name: value} if found else {}
    if value == 0:
        return {"do_sample": False}
    return {"do_sample": True, **({found.name: value} if found else {})}


def _web_search(value: Any, schema: Schema) -> Inputs:
    found = next((each for each in schema if each.name in _SEARCHES and each.kind == "boolean"), None)
    if found is None:
        raise Unsupported("This model cannot search the web.", param="web_search_options")
    return {found.name: True}


def stop_rule(value: Any, schema: Schema) -> Inputs:
    """Stop texts as models take them: a list, or one string with commas between. A text with a comma in it cannot be
    passed that way; it is watched for here all the same."""
    found = schema.get(*_STOPS)
    texts = [value] if isinstance(value, str) else list(value)
    if found is None or not texts:
        return {}
    if found.kind == "array":
        return {found.name: texts}
    return {} if any("," in text for text in texts) else {found.name: ",".join(texts)}


STANDARD: Table = {
    "temperature": _temperature,
    "top_p": into("top_p"),
    "presence_penalty": into("presence_penalty"),
    "frequency_penalty": into("frequency_penalty", "freq_penalty"),
    "seed": into("seed", "random_seed"),
    "logit_bias": into("logit_bias"),
    "reasoning_effort": reasoning_effort,
    "verbosity": into("verbosity"),
    "user": into("user", "user_id"),
    "safety_identifier": into("safety_identifier", "user_id"),
    "prompt_cache_key": into("prompt_cache_key"),
    "web_search_options": _web_search,
    **dict.fromkeys(
        (
            "metadata",
            "service_tier",
            "prompt_cache_options",
            "prompt_cache_retention",
            "prediction",
            "stream_options.include_obfuscation",
        ),
        nowhere,
    ),
}
"""Parameters that become inputs, and those that only have names here; `docs/models.md` says why of each."""

_TRIVIAL: Mapping[str, tuple[object, ...]] = {
    "service_tier": ("auto", "default"),
    "metadata": ({},),
    "logit_bias": ({},),
}


class ChatAdapter(Adapter, frozen=True, kw_only=True):
    """Translates chat completions for a family. `thinking`: the template opens the model's thoughts before it.
    `convention` is how it speaks of calls; `native` allows its own inputs for tools, if it has any."""

    manner: Manner = Manner()
    thinking: bool = False
    convention: Convention = HERMES
    native: bool = True

    def prepare(self, request: ChatRequest, schema: Schema) -> Prepared:
        """The inputs of n predictions. Raises InvalidRequest, Unsupported or MissingParameter; nothing was spent."""
        _refuse_features(request)
        schema = self._schema(schema)
        refuse_other_kinds(schema, "chat")
        draft = Draft(self, schema)
        tools, wanted = self._tools(request, schema), self._format(request, schema)
        talk = conversation(request.messages, tools.convention if tools else None)
        talk = instructed(talk, *(part.instructions for part in (tools, wanted) if part))
        words = placed(talk, schema, self._manner(), native=bool(tools and tools.native))
        words = replace(words, stops=(*words.stops, *(tools.stops if tools else ())))
        draft.put("messages", words.inputs)
        if tools and tools.native:
            draft.put("tools", fitting(tool_inputs(tools, schema), schema))
        if request.response_format and wanted:
            draft.put("response_format", fitting(self._form(request.response_format, schema), schema))
        draft.translate(_parameters(request), {**STANDARD, **self.table})
        draft.ignored += [*unheard(request.messages), *(["messages.text"] if words.wordless else [])]
        self._put_stops(draft, request, schema, words)
        reading = limited(draft, request, schema, self.renamed("max_tokens") or MAX_TOKENS)
        draft.pass_on(request.extra)
        inputs = seeded(draft.finish(), schema, [1] * (request.n or 1))
        stops = (*request.stops, *words.stops)
        return draft.prepared(inputs, replace(reading, stops=stops, thinking=self.thinking, tools=tools, format=wanted))

    def parse(
        self, request: ChatRequest, predictions: Sequence[Prediction], stamp: Stamp, prepared: Prepared
    ) -> ChatCompletion:
        """The reply, whole. Raises what the first failed prediction means."""
        return self.stream(request, stamp, prepared).whole(predictions)

    def stream(self, request: ChatRequest, stamp: Stamp, prepared: Prepared) -> ChatStream:
        """The reply in pieces; feed it the predictions' events."""
        return ChatStream(request, stamp, prepared)

    def counted(self, request: ChatRequest, predictions: Sequence[Prediction], prepared: Prepared) -> Counted:
        """Tokens of the call, and on what grounds: for the books, and for the header that says they were estimated."""
        return ChatStream(request, Stamp("", 0, ""), prepared).counted(predictions)

    def _tools(self, request: ChatRequest, schema: Schema) -> Tools | None:
        native = self.native and tools_input(schema) is not None
        return tools_of(request, self.convention, native=native)

    def _format(self, request: ChatRequest, schema: Schema) -> Format | None:
        wanted = request.response_format
        if wanted is None:
            return None
        return format_of(wanted, native=holds(self._form(wanted, schema), wanted))

    def _form(self, wanted: ResponseFormat, schema: Schema) -> Inputs:
        return self.table.get("response_format", format_inputs)(wanted, schema)

    def _schema(self, schema: Schema) -> Schema:
        return substituted(schema, self.instead)

    def _manner(self) -> Manner:
        row, manner = self.row, self.manner
        if row is None:
            return manner
        return Manner(
            template=template_named(row.template) if row.template else manner.template,
            base=manner.base and not row.template,
            raw=manner.raw,
            mention=manner.mention,
            asking=manner.asking,
            showing=manner.showing,
            prompts=(*self.renamed("messages"), *self.renamed("prompt"), *manner.prompts),
            systems=(*self.renamed("system"), *manner.systems),
            images=(*self.renamed("image"), *manner.images),
        )

    def _put_stops(self, draft: Draft, request: ChatRequest, schema: Schema, words: Placed) -> None:
        """All stop texts that the model can be told of; the client's are watched for here too, so none is ignored."""
        rule: Rule = into(*self.renamed("stop")) if self.renamed("stop") else self.table.get("stop", stop_rule)
        passable = [text for text in (*request.stops, *words.stops) if "," not in text]
        found = rule(passable, schema) if passable else {}
        for name, value in found.items():
            default = schema.inputs[name].default
            declared = default.split(",") if isinstance(default, str) and isinstance(value, str) else []
            more = [text for text in declared if text and text not in passable]
            draft.put("stop", {name: ",".join([value, *more]) if more else value})


def _parameters(request: ChatRequest) -> Mapping[str, Any]:
    """Knobs that are set to something; what asks for nothing special is granted without a word."""
    options = request.stream_options
    given = {name: value for name in STANDARD if (value := getattr(request, name, None)) is not None}
    if options and options.include_obfuscation:
        given["stream_options.include_obfuscation"] = True
    return {name: value for name, value in given.items() if value not in _TRIVIAL.get(name, ())}


def _refuse_features(request: ChatRequest) -> None:
    for parameter, asked in (
        # Whoever asks for them reads them: no model of Replicate's tells any.
        ("top_logprobs", bool(request.top_logprobs)),
        ("logprobs", bool(request.logprobs)),
        ("modalities", bool(request.modalities) and "audio" in (request.modalities or ())),
        ("audio", bool(request.audio)),
        ("moderation", bool(request.moderation)),
        # Whoever has it stored will ask for it again; responses can be stored.
        ("store", bool(request.store)),
    ):
        if asked:
            what = f"Unsupported parameter: '{parameter}' is not supported with this model."
            raise Unsupported(what, param=parameter)
