"""Turns an input into a performance, by what the model plays."""

from collections.abc import Callable

import msgspec

from gateway.simulator.performance import Performance, Piece
from gateway.simulator.players.films import video
from gateway.simulator.players.judges import verdict
from gateway.simulator.players.others import value, weights
from gateway.simulator.players.part import Part
from gateway.simulator.players.pictures import picture
from gateway.simulator.players.sounds import music, speech, transcription
from gateway.simulator.players.vectors import vectors
from gateway.simulator.players.words import hello, text
from gateway.simulator.records import Plays

_PLAYERS: dict[Plays, Callable[[Part], Performance]] = {
    "text": text,
    "picture": picture,
    "speech": speech,
    "music": music,
    "transcription": transcription,
    "vectors": vectors,
    "video": video,
    "value": value,
    "verdict": verdict,
    "hello": hello,
    "weights": weights,
}


def play(part: Part) -> Performance:
    """Return the performance of a model for an input."""
    if part.scene.output is not None:
        return _scripted(part.scene.output)
    return _PLAYERS[part.model.ways.plays](part)


def _scripted(written: str) -> Performance:
    output = msgspec.json.decode(written)
    if isinstance(output, list):
        return Performance(pieces=tuple(Piece(item) for item in output), listed=True)
    return Performance(pieces=(Piece(output),), listed=False)


__all__ = ["Part", "play"]
