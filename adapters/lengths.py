"""How long a recording lasts, by its own headers; None where they do not say."""

import re
import struct

_MP3 = re.compile(rb"\xff[\xe2-\xff]", re.DOTALL)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_BITRATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOWER = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_BOXES = (b"moov", b"mvhd")
_OPUS_RATE = 48_000


def seconds_of(content: bytes) -> float | None:
    """Seconds, of WAV, FLAC, Ogg, MP4 and MP3."""
    try:
        return _read(content)
    except (struct.error, IndexError, ZeroDivisionError):
        # A header that says more than there is tells nothing.
        return None


def _read(content: bytes) -> float | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return _wav(content)
    if content[:4] == b"fLaC":
        return _flac(content)
    if content[:4] == b"OggS":
        return _ogg(content)
    if content[4:8] == b"ftyp":
        return _mp4(content)
    return _mp3(content)


def _wav(content: bytes) -> float | None:
    place, rate = 12, 0
    while place + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        if name == b"fmt ":
            rate = struct.unpack_from("<I", content, place + 16)[0]
        if name == b"data":
            # A file that was written as a stream does not know its size.
            return float(min(size, len(content) - place - 8) / rate)
        place += 8 + size + size % 2
    return None


def _flac(content: bytes) -> float | None:
    packed = struct.unpack_from(">Q", content, 18)[0]
    rate, samples = packed >> 44, packed & 0xF_FFFF_FFFF
    return float(samples / rate) if samples else None


def _ogg(content: bytes) -> float | None:
    last = content.rfind(b"OggS")
    samples = struct.unpack_from("<q", content, last + 6)[0]
    head = content[:512]
    if (opus := head.find(b"OpusHead")) >= 0:
        return float(max(samples - struct.unpack_from("<H", head, opus + 10)[0], 0) / _OPUS_RATE)
    vorbis = head.find(b"\x01vorbis")
    return float(samples / struct.unpack_from("<I", head, vorbis + 12)[0]) if vorbis >= 0 else None


def _mp4(content: bytes) -> float | None:
    begin, end = 0, len(content)
    for wanted in _BOXES:
        found = _box(content, begin, end, wanted)
        if found is None:
            return None
        begin, end = found
    wide = content[begin] == 1
    scale, length = struct.unpack_from(">IQ" if wide else ">II", content, begin + (20 if wide else 12))
    return float(length / scale)


def _box(content: bytes, place: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    while place + 8 <= end:
        size, name = struct.unpack_from(">I4s", content, place)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", content, place + 8)[0], 16
        size = size or end - place
        if name == wanted:
            return place + head, min(place + size, end)
        if size < head:
            return None
        place += size
    return None


def _mp3(content: bytes) -> float | None:
    place = 0
    if content[:3] == b"ID3":
        size = 0
        for octet in content[6:10]:
            size = size << 7 | octet
        place = 10 + size
    frames = _frames(content, place)
    # Two frames in a row are no accident, one may be.
    return sum(frames) if len(frames) > 1 else None


def _frames(content: bytes, place: int) -> list[float]:
    found = _MP3.search(content, place, place + 4096)
    place = found.start() if found else len(content)
    lengths: list[float] = []
    while frame := _frame(content, place):
        size, seconds = frame
        lengths.append(seconds)
        place += size
    return lengths


def _frame(content: bytes, place: int) -> tuple[int, float] | None:
    """Its size in bytes and its length in seconds; only of layer III."""
    if place + 4 > len(content):
        return None
    sync, second, third = content[place], content[place + 1], content[place + 2]
    version, layer = second >> 3 & 3, second >> 1 & 3
    quality, pitch = third >> 4, third >> 2 & 3
    if sync != 0xFF or second < 0xE0 or version == 1 or layer != 1 or not 0 < quality < 15 or pitch == 3:
        return None
    rate = _RATES[version][pitch]
    samples = 1152 if version == 3 else 576
    bits = (_BITRATES if version == 3 else _LOWER)[quality - 1] * 1000
    return samples // 8 * bits // rate + (third >> 1 & 1), samples / rate
