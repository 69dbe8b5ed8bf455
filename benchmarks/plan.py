"""Which scenarios a run has, and for how many seconds each: a full run must be over in a quarter of an hour."""

from collections.abc import Mapping

from benchmarks.scenarios import (
    Scenario,
    after_burst,
    arrivals,
    capacity,
    first_token,
    latency,
    memory,
    noticing,
    ready,
    relaying,
    sustained,
    together,
    upstream_requests,
)

Plan = Mapping[str, Scenario]

ONE, SIXTY_FOUR = "latency, 1 client", "latency, 64 clients"
CAPACITY = "capacity, 64 clients"
RELAYED, RELAYING = "relaying, 16 streams (a token each 10 ms)", "relaying, 64 streams (a token each 5 ms)"
FIRST, SIXTEEN, INSTANT = "first token, 1 stream", "first token, 16 streams", "first token, 64 at the same instant"
PROVIDED, PROVIDED_FIRST = (
    "own Replicate provider: latency, 1 client",
    "own Replicate provider: first token, 16 streams",
)
READY, ASKED, BURST, MEMORY = "start-up to ready", "upstream requests per call", "after a burst of 256", "memory (MiB)"
SUSTAINED = "what clients and upstream sustain"
LENGTHS = ("0.2 s", "1.5 s", "6 s", "40 s")


def noticed(length: str) -> str:
    """The scenario for a prediction of this length."""
    return f"noticing a picture of {length}"


def sustaining(seconds: float) -> Plan:
    """Of the direct client alone."""
    return {SUSTAINED: sustained(1 * seconds)}


def everyone(seconds: float) -> Plan:
    """Of all of them; each second of these is fifteen in a run of three rounds."""
    return {
        ONE: latency(1, 1.6 * seconds),
        "latency, 16 clients": latency(16, 0.9 * seconds),
        SIXTY_FOUR: latency(64, 1.0 * seconds),
        CAPACITY: capacity(64, 1.6 * seconds),
        FIRST: first_token(1, 0.9 * seconds),
        SIXTEEN: first_token(16, 0.9 * seconds),
        "first token, 20 streams": first_token(20, 0.9 * seconds),
        "latency, 20 requests/s": arrivals(20, 1.2 * seconds),
        RELAYED: relaying(16, 1.5 * seconds, 10),
        # What not everybody bears stands last, for some have to do with it for long.
        "latency, 100 requests/s": arrivals(100, 1.2 * seconds),
        INSTANT: together(64),
        "latency, 256 clients": latency(256, 0.9 * seconds),
        "first token, 200 streams (a token each 50 ms)": first_token(200, 0.9 * seconds, pace=50),
        RELAYING: relaying(64, 1.2 * seconds, 5),
    }


def provider(seconds: float) -> Plan:
    """Of those who ask Replicate's own API, and of the direct client."""
    return {PROVIDED: latency(1, 2.2 * seconds), PROVIDED_FIRST: first_token(16, 2 * seconds)}


def ours(seconds: float) -> Plan:
    """Of ours, and of the direct client where it can be asked, each in every round."""
    return {
        "latency, 1 client, the record final 20 ms later": latency(1, 2 * seconds, "bench/late-50"),
        BURST: after_burst(256, 1.5 * seconds),
        **{noticed(length): noticing(*_PICTURES[length]) for length in LENGTHS[:2]},
    }


def once(streams: int = 1000, requests: int = 20_000) -> Plan:
    """Of ours, in one round: what takes long, or comes out the same each time."""
    return {
        ASKED: upstream_requests(),
        MEMORY: memory(requests, streams),
        **{noticed(length): noticing(*_PICTURES[length]) for length in LENGTHS[2:]},
    }


def quick(seconds: float) -> tuple[Plan, Plan]:
    """The same figures in less than a minute: of ours beside a direct client, and of ours alone."""
    whole, alone = everyone(seconds), ours(seconds)
    beside = (ONE, SIXTY_FOUR, "latency, 100 requests/s", CAPACITY, FIRST, INSTANT, RELAYED, RELAYING)
    return {name: whole[name] for name in beside}, {
        READY: ready(),
        ASKED: upstream_requests(2),
        BURST: alone[BURST],
        **{noticed(length): alone[noticed(length)] for length in LENGTHS[:2]},
        MEMORY: memory(round(2000 * seconds), round(200 * seconds), round(500 * seconds)),
    }


_PICTURES = {
    "0.2 s": ("bench/picture-200", 0.2, 8),
    "1.5 s": ("bench/picture-1500", 1.5, 8),
    "6 s": ("bench/picture-6000", 6.0, 8),
    "40 s": ("bench/picture-40000", 40.0, 8),
}
