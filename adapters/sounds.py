"""Recordings as bytes: joined, and brought into the formats that need no encoder."""

import struct
import wave
from collections.abc import Sequence
from io import BytesIO

from adapters.errors import InvalidAnswer

RATE = 24_000
"""Samples a second in OpenAI's `pcm`: 16 bits, one channel."""

WAV, PCM = "audio/wav", "audio/pcm"
TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": WAV,
    "pcm": PCM,
}
"""Format → content type."""

REACHED = {"wav": ("wav", "pcm"), "ogg": ("opus",), "m4a": ("aac",)}
"""A file's ending → the formats that can be made of it; any other is its own."""

_CHAINED = {"audio/mpeg", "audio/aac", "audio/ogg", PCM}


def joined(parts: Sequence[bytes], content_type: str) -> bytes:
    """Several recordings of one type as one. Raises InvalidAnswer where they cannot be."""
    if len(parts) == 1:
        return parts[0]
    if content_type in _CHAINED:
        return b"".join(parts)
    if content_type == WAV:
        return _joined_wav(parts)
    raise InvalidAnswer(f"The model answered with {len(parts)} recordings that cannot be joined.")


def pcm_of(content: bytes) -> bytes:
    """The samples of a WAV file as OpenAI's `pcm`. Raises InvalidAnswer for any that would need an encoder."""
    try:
        with wave.open(BytesIO(content)) as file:
            form = file.getparams()
            frames = file.readframes(form.nframes)
    except (wave.Error, EOFError):
        raise InvalidAnswer("The model's WAV file cannot be read: ask for wav.", param="response_format") from None
    if form.sampwidth != 2 or form.framerate != RATE:
        raise InvalidAnswer(
            f"The model's recording has {form.framerate} samples of {form.sampwidth * 8} bits a second, pcm has "
            f"{RATE} of 16: ask for wav.",
            param="response_format",
        )
    return frames if form.nchannels == 1 else _mixed(frames, form.nchannels)


def _mixed(frames: bytes, channels: int) -> bytes:
    samples = [sample for (sample,) in struct.iter_unpack("<h", frames)]
    voices = [samples[channel::channels] for channel in range(channels)]
    mixed = [sum(each) // channels for each in zip(*voices, strict=True)]
    return struct.pack(f"<{len(mixed)}h", *mixed)


def _joined_wav(parts: Sequence[bytes]) -> bytes:
    whole = BytesIO()
    try:
        with wave.open(whole, "wb") as writer:
            for place, part in enumerate(parts):
                with wave.open(BytesIO(part)) as reader:
                    if place == 0:
                        writer.setparams(reader.getparams())
                        form = reader.getparams()[:3]
                    if reader.getparams()[:3] != form:
                        raise InvalidAnswer("The model answered with recordings of different forms.")
                    writer.writeframes(reader.readframes(reader.getnframes()))
    except (wave.Error, EOFError):
        raise InvalidAnswer("The model answered with WAV files that cannot be joined.") from None
    return whole.getvalue()
