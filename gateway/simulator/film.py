"""Films: real MP4 files whose frames are JPEG pictures."""

import struct
from collections.abc import Sequence

from msgspec import Struct, structs

from gateway.simulator.painter import Drawing

FRAMES_PER_SECOND = 4
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


class Film(Struct, frozen=True):
    """A film to be: a drawing that changes its number from frame to frame."""

    drawing: Drawing
    seconds: float

    def shoot(self) -> bytes:
        """Draw the frames and return the file."""
        count = max(1, round(self.seconds * FRAMES_PER_SECOND))
        jpeg = structs.replace(self.drawing, format="jpg", quality=60)
        frames = [structs.replace(jpeg, number=number).paint() for number in range(count)]
        return _mp4(frames, self.drawing.width, self.drawing.height)


def _mp4(frames: Sequence[bytes], width: int, height: int) -> bytes:
    head = _box(b"ftyp", b"isom\0\0\2\0isomiso2mp41")
    media = _box(b"mdat", *frames)
    return head + media + _movie(frames, width, height, len(head) + 8)


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", len(content) + 8) + kind + content


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def _movie(frames: Sequence[bytes], width: int, height: int, offset: int) -> bytes:
    length = len(frames)
    times = struct.pack(">4I", 0, 0, FRAMES_PER_SECOND, length)
    head = _full(b"mvhd", times, struct.pack(">IHHII", 0x10000, 0x100, 0, 0, 0), _MATRIX, bytes(24), b"\0\0\0\2")
    size = struct.pack(">II", width << 16, height << 16)
    track = _full(b"tkhd", struct.pack(">5I", 0, 0, 1, 0, length), bytes(16), _MATRIX, size, flags=3)
    handler = _full(b"hdlr", bytes(4), b"vide", bytes(12), b"frames\0")
    reference = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1)))
    info = _box(b"minf", _full(b"vmhd", bytes(8), flags=1), reference, _samples(frames, width, height, offset))
    media = _box(b"mdia", _full(b"mdhd", times, b"\x55\xc4\0\0"), handler, info)
    return _box(b"moov", head, _box(b"trak", track, media))


def _samples(frames: Sequence[bytes], width: int, height: int, offset: int) -> bytes:
    count = len(frames)
    entry = _box(
        b"jpeg",
        bytes(6) + b"\0\1" + bytes(16),
        struct.pack(">HHIIIH", width, height, 0x480000, 0x480000, 0, 1),
        bytes(32),
        struct.pack(">Hh", 24, -1),
    )
    return _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), entry),
        _full(b"stts", struct.pack(">3I", 1, count, 1)),
        _full(b"stsc", struct.pack(">4I", 1, 1, count, 1)),
        _full(b"stsz", struct.pack(f">{count + 2}I", 0, count, *map(len, frames))),
        _full(b"stco", struct.pack(">2I", 1, offset)),
    )
