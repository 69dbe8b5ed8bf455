"""Asking a model once more for what it did not get right: the conversation, its answer, and what is wrong with it."""

from msgspec.structs import replace

from adapters.voices import Voice
from adapters.wire.chat import ChatRequest, Message

_LONGEST = 20_000
_CALL = "That is no valid call: {fault}. Answer again with the whole call, corrected, and nothing else."
_JSON = "That is not the JSON that was asked for: {fault}. Answer again with the whole JSON object, corrected, and \
nothing else."


def repair_request(request: ChatRequest, voice: Voice) -> ChatRequest:
    """The request whose answer may take the place of what `voice` said."""
    wish = (_CALL if voice.misspoken else _JSON).format(fault=voice.fault)
    said = voice.said.strip()
    # Of an answer without end, its beginning says enough.
    turns = [Message(role="assistant", content=said[:_LONGEST])] if said else []
    return replace(request, messages=[*request.messages, *turns, Message(role="user", content=wish)], n=None)
