"""Sound: real WAV files, made of tones, that carry the words they were made from."""

import array
import io
import math
import struct
import wave

from msgspec import Struct

from gateway.simulator.writer import seeded

RATE = 24_000
_COMMENT = b"ICMT"
_LONGEST = 120.0


class Tone(Struct, frozen=True):
    """So many seconds at a pitch; 0 hertz is silence."""

    hertz: float
    seconds: float


def spoken(text: str, voice: str, speed: float) -> list[Tone]:
    """Return a tone per word, as long as the word takes to say, in the pitch of the voice."""
    base = 110 + seeded({}, voice).randrange(120)
    tones: list[Tone] = []
    for word in text.split()[:2000]:
        pitch = base * (1 + seeded({}, word).randrange(6) / 12)
        tones += [Tone(pitch, 0.06 * len(word) / speed), Tone(0, 0.06 / speed)]
    return tones or [Tone(0, 0.1)]


def played(prompt: str, seconds: float, seed: int) -> list[Tone]:
    """Return a tune of so many seconds, the same for the same prompt and seed."""
    chance = seeded({"seed": seed}, prompt)
    length = min(max(seconds, 0.5), _LONGEST)
    notes = max(1, round(length * 4))
    return [Tone(220 * 2 ** (chance.choice((0, 3, 5, 7, 10, 12)) / 12), length / notes) for _ in range(notes)]


def seconds(tones: list[Tone]) -> float:
    """Return how long they last."""
    return sum(tone.seconds for tone in tones)


def wav(tones: list[Tone], words: str = "") -> bytes:
    """Return a WAV file: 16-bit, mono; the words go along as a comment."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(pcm(tones))
    return _commented(file.getvalue(), words)


def pcm(tones: list[Tone]) -> bytes:
    """Return raw 16-bit samples."""
    return b"".join(map(_samples, tones))


def _samples(tone: Tone) -> bytes:
    count = int(tone.seconds * RATE)
    if not tone.hertz:
        return bytes(2 * count)
    period = max(2, round(RATE / tone.hertz))
    wave_ = array.array("h", (int(9000 * math.sin(2 * math.pi * place / period)) for place in range(period))).tobytes()
    return (wave_ * (count // period + 1))[: 2 * count]


def _commented(content: bytes, words: str) -> bytes:
    if not words:
        return content
    comment = words.encode()
    comment += bytes(2 - len(comment) % 2)
    info = b"INFO" + _COMMENT + struct.pack("<I", len(comment)) + comment
    chunk = b"LIST" + struct.pack("<I", len(info)) + info
    size = struct.unpack_from("<I", content, 4)[0] + len(chunk)
    return content[:4] + struct.pack("<I", size) + content[8:] + chunk


def words_in(content: bytes) -> str:
    """Return the words that came along in a WAV file of ours; empty for any other sound."""
    place = content.rfind(b"INFO" + _COMMENT)
    if not content.startswith(b"RIFF") or place < 0:
        return ""
    length = struct.unpack_from("<I", content, place + 8)[0]
    return content[place + 12 : place + 12 + length].rstrip(b"\0").decode(errors="replace")


def length_of(content: bytes) -> float:
    """Return how long a WAV file lasts; for other sounds, what so many bytes last at 128 kbit/s."""
    try:
        with wave.open(io.BytesIO(content)) as reader:
            return float(reader.getnframes() / (reader.getframerate() or 1))
    except (wave.Error, EOFError):
        return len(content) / 16_000
