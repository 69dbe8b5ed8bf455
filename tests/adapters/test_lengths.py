"""How long recordings last: headers as encoders write them, and files that break off."""

import io
import struct
import wave

import pytest

from adapters.lengths import seconds_of


def wav(seconds: float, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(bytes(int(seconds * rate) * 2))
    return file.getvalue()


def streamed_wav(seconds: float) -> bytes:
    """Of a size that its writer did not know."""
    whole = bytearray(wav(seconds))
    struct.pack_into("<I", whole, 40, 0xFFFF_FFFF)
    return bytes(whole)


def flac(seconds: float, rate: int = 44_100) -> bytes:
    packed = rate << 44 | 1 << 41 | 15 << 36 | int(seconds * rate)
    return b"fLaC" + b"\x80\x00\x00\x22" + bytes(10) + packed.to_bytes(8, "big") + bytes(16)


def page(samples: int, body: bytes) -> bytes:
    return b"OggS\x00\x00" + struct.pack("<qIII", samples, 1, 0, 0) + bytes([1, len(body)]) + body


def opus(seconds: float) -> bytes:
    head = b"OpusHead\x01\x01" + struct.pack("<HIh", 312, 24_000, 0) + b"\x00"
    return page(0, head) + page(int(seconds * 48_000) + 312, bytes(50))


def vorbis(seconds: float, rate: int = 22_050) -> bytes:
    head = b"\x01vorbis" + bytes(4) + b"\x01" + struct.pack("<I", rate) + bytes(14)
    return page(0, head) + page(int(seconds * rate), bytes(50))


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, name) + body


def mp4(seconds: float, *, wide: bool = False) -> bytes:
    scale = 1000
    times = bytes([1, 0, 0, 0]) + bytes(16) if wide else bytes(12)
    length = struct.pack(">IQ" if wide else ">II", scale, int(seconds * scale))
    header = box(b"mvhd", times + length + bytes(80))
    return box(b"ftyp", b"M4A ") + box(b"mdat", bytes(99)) + box(b"moov", box(b"free", b"") + header)


def mp3(frames: int, tag: int = 0) -> bytes:
    """So many frames of 128 kbit/s at 44,100: 1,152 samples in 417 bytes each."""
    head = b"ID3\x04\x00\x00" + bytes([0, 0, tag >> 7, tag & 127]) + bytes(tag) if tag else b""
    return head + (b"\xff\xfb\x90\x00" + bytes(413)) * frames


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (wav(1.5), 1.5),
        (streamed_wav(1.5), 1.5),
        (flac(2.25), 2.25),
        (opus(3.5), 3.5),
        (vorbis(2.0), 2.0),
        (mp4(4.125), 4.125),
        (mp4(4.125, wide=True), 4.125),
        (mp3(100), 100 * 1152 / 44_100),
        (mp3(100, tag=300), 100 * 1152 / 44_100),
        (b"\x1a\x45\xdf\xa3 webm", None),
        (b"", None),
    ],
    ids=["wav", "wav-streamed", "flac", "opus", "vorbis", "mp4", "mp4-wide", "mp3", "mp3-tagged", "webm", "nothing"],
)
def test_a_recording_lasts_as_long_as_its_header_says(content: bytes, seconds: float | None) -> None:
    assert seconds_of(content) == (None if seconds is None else pytest.approx(seconds, abs=0.001))


@pytest.mark.parametrize("content", [wav(1), flac(1), opus(1), vorbis(1), mp4(1), mp3(9, tag=30)])
def test_a_file_that_breaks_off_anywhere_tells_what_it_can_and_never_breaks(content: bytes) -> None:
    for length in range(min(len(content), 400)):
        found = seconds_of(content[:length])
        assert found is None or 0 <= found < 2
