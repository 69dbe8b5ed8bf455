"""POST /v1/audio/transcriptions, /translations and /speech."""

from typing import Any

from litestar import Response, post

from adapters.speech import SpeechAdapter
from adapters.transcription import TranscriptionAdapter
from adapters.wire.audio import SpeechRequest, TranscriptionRequest, TranslationRequest
from gateway.api.endpoints import served
from gateway.api.replies import Body, Frames
from gateway.api.requests import Asked
from gateway.calls import Call
from gateway.dictation import dictated, transcribed
from gateway.relay import guarded, persisting
from gateway.speaking import spoken, uttered

TEXT = "text/plain"


@post("/v1/audio/speech", status_code=200)
async def create_speech(request: Asked) -> Response[Any]:
    """A text, spoken: the recording's bytes, or events that carry them."""
    return await served(request, SpeechAdapter, SpeechRequest, _recording, _pieces)


@post("/v1/audio/transcriptions", status_code=200)
async def create_transcription(request: Asked) -> Response[Any]:
    """What is said in a recording, as JSON, text or subtitles."""
    return await served(request, TranscriptionAdapter, TranscriptionRequest, _transcript, _deltas)


@post("/v1/audio/translations", status_code=200)
async def create_translation(request: Asked) -> Response[Any]:
    """What is said in a recording, in English."""
    return await served(request, TranscriptionAdapter, TranslationRequest, _transcript)


async def _transcript(call: Call[Any, TranscriptionAdapter]) -> object:
    answer = await transcribed(call)
    return Body(answer.encode(), TEXT) if isinstance(answer, str) else answer


async def _recording(call: Call[Any, SpeechAdapter]) -> Body:
    sound = await spoken(call)
    return Body(sound.content, sound.content_type)


def _pieces(call: Call[Any, SpeechAdapter]) -> Frames:
    heartbeat = call.gateway.config.server.heartbeat_seconds
    return Frames(guarded(call, persisting(call, lambda: uttered(call, heartbeat))))


def _deltas(call: Call[Any, TranscriptionAdapter]) -> Frames:
    heartbeat = call.gateway.config.server.heartbeat_seconds
    return Frames(guarded(call, persisting(call, lambda: dictated(call, heartbeat))))
