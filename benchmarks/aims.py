"""The aims: bounds on figures of one run, as ratios within a round wherever two are compared."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from benchmarks.plan import (
    ASKED,
    BURST,
    CAPACITY,
    FIRST,
    INSTANT,
    LENGTHS,
    MEMORY,
    ONE,
    PROVIDED,
    PROVIDED_FIRST,
    READY,
    RELAYED,
    RELAYING,
    SIXTEEN,
    SIXTY_FOUR,
    noticed,
)
from benchmarks.results import Results
from benchmarks.stats import Figure

Measure = Callable[[Results], Figure]

US, LITELLM, FLOORS = "repligate", "litellm", ("nginx", "raw relay")
SOAK, GROWN = "soak", {"keys": 10_000, "known models": 5_000, "ledger entries": 10_000_000, "open streams": 1_000}
FLAT = 1.2


class Aim(Struct, frozen=True):
    """A bound on a figure made of others, which `least` turns round; `ahead` is what a prototype reached."""

    says: str
    bound: float
    figure: Measure
    ahead: str = ""
    least: bool = False

    def told(self, results: Results) -> Figure | None:
        """What was measured, if it was."""
        try:
            figure = self.figure(results)
        except (KeyError, StopIteration):
            return None
        return figure if figure.known else None

    def holds(self, results: Results) -> bool | None:
        """None where it was not measured."""
        if (told := self.told(results)) is None:
            return None
        return told.median >= self.bound if self.least else told.median <= self.bound

    def row(self, results: Results) -> Sequence[str]:
        """The aim, what was measured, and whether it holds."""
        told, verdict = self.told(results), {True: "yes", False: "**no**", None: "not measured"}
        measured = f"{told.median:.3g} ± {told.spread * 100:.0f} %" if told else ""
        return self.says, self.ahead, measured, verdict[self.holds(results)]


def _ratio(scenario: str, figure: str, over: str, peer: str = US) -> Measure:
    return lambda told: told.get(scenario, peer, figure).over(told.get(scenario, over, figure))


def _floor(scenario: str, figure: str) -> Measure:
    def measure(told: Results) -> Figure:
        floor = next(name for name in FLOORS if name in told.figures[scenario])
        return told.get(scenario, US, figure).over(told.get(scenario, floor, figure))

    return measure


def _added(scenario: str, figure: str = "p50", peer: str = US) -> Measure:
    return lambda told: told.get(scenario, peer, figure).less(told.get(scenario, "direct", figure))


def _added_ratio(scenario: str, over: str, figure: str = "p50") -> Measure:
    return lambda told: _added(scenario, figure)(told).over(_added(scenario, figure, over)(told))


def _plain(scenario: str, figure: str) -> Measure:
    return lambda told: told.get(scenario, US, figure)


def _grown(what: str, most: int) -> Measure:
    def measure(told: Results) -> Figure:
        sizes = sorted(int(size.replace(",", "")) for size in told.figures[growth(what)])
        return told.get(growth(what), f"{most:,}", "cpu_us").over(told.get(growth(what), f"{sizes[0]:,}", "cpu_us"))

    return measure


def growth(what: str) -> str:
    """The scenario in which this grows; its peers are the sizes."""
    return f"CPU of a call by {what}"


AIMS = (
    Aim("requests/s, over LiteLLM's ≥ 20", 20, _ratio(CAPACITY, "per_second", LITELLM), "33.7", least=True),
    Aim("CPU per request, over LiteLLM's ≤ 1/20 (0.05)", 1 / 20, _ratio(CAPACITY, "cpu_us", LITELLM), "0.031"),
    Aim("CPU per request, over the bare relay's ≤ 10", 10, _floor(CAPACITY, "cpu_us"), "7.3"),
    Aim("added p50 at one client ≤ 1.6 ms", 1.6, _added(ONE), "1.1"),
    Aim("added p50 at one client, over LiteLLM's ≤ 1/5 (0.2)", 1 / 5, _added_ratio(ONE, LITELLM), "0.1"),
    Aim("p99 at 64 clients, over a direct client's ≤ 1.6", 1.6, _ratio(SIXTY_FOUR, "p99", "direct"), "1.16"),
    Aim("added time to first token, one stream ≤ 2 ms", 2, _added(FIRST), "1.3"),
    Aim("added time to first token, 64 at once ≤ 15 ms", 15, _added(INSTANT), "4.6"),
    Aim(
        "added time to first token, 16 streams, over LiteLLM's ≤ 1/20 (0.05)",
        1 / 20,
        _added_ratio(SIXTEEN, LITELLM),
        "0.023",
    ),
    Aim("CPU per token at 16 streams, over the bare relay's ≤ 3.5", 3.5, _floor(RELAYED, "cpu_us"), "2.4"),
    Aim(
        "CPU per token at 16 streams, over LiteLLM's ≤ 1/14 (0.071)",
        1 / 14,
        _ratio(RELAYED, "cpu_us", LITELLM),
        "0.037",
    ),
    Aim(
        "tokens/s at 64 streams, over a direct client's ≥ 0.97",
        0.97,
        _ratio(RELAYING, "per_second", "direct"),
        "0.99",
        least=True,
    ),
    Aim("relay delay p50 ≤ 0.6 ms", 0.6, _added(RELAYING, "delay_p50"), "0.09"),
    Aim(
        "added p50, over LiteLLM's with its own Replicate provider ≤ 1/50 (0.02)",
        1 / 50,
        _added_ratio(PROVIDED, "litellm + replicate"),
        "0.0017",
    ),
    Aim(
        "added first token, over LiteLLM's with its own Replicate provider ≤ 1/50 (0.02)",
        1 / 50,
        _added_ratio(PROVIDED_FIRST, "litellm + replicate"),
        "0.0042",
    ),
    Aim("CPU per request after a burst of 256, over before ≤ 1.3", 1.3, _plain(BURST, "ratio"), "1.0"),
    Aim("start-up to ready ≤ 1 s", 1, _plain(READY, "seconds"), "0.27"),
    Aim("memory when idle ≤ 80 MiB", 80, _plain(READY, "MiB when idle"), "48"),
    Aim("memory with 1,000 open streams ≤ 200 MB (191 MiB)", 200e6 / 2**20, _plain(MEMORY, "with 1,000 streams")),
    Aim("memory grown between the 1,000th and the 20,000th request ≤ 5 MiB", 5, _plain(MEMORY, "grown")),
    Aim("upstream requests for a streamed chat ≤ 2", 2, _plain(ASKED, "streamed chat"), "2"),
    *(Aim(f"a picture of {each} noticed within 50 ms", 50, _plain(noticed(each), "late_p50")) for each in LENGTHS),
    *(
        Aim(f"CPU per call with {most:,} {what}, over the fewest ≤ {FLAT}", FLAT, _grown(what, most))
        for what, most in GROWN.items()
    ),
    Aim("soak: memory at the end, over the start ≤ 1.05", 1.05, _plain(SOAK, "memory ratio")),
    Aim("soak: open files more than at the start ≤ 4", 4, _plain(SOAK, "files more")),
    Aim("soak: tasks more than at the start ≤ 4", 4, _plain(SOAK, "tasks more")),
    Aim("soak: CPU per call at the end, over the start ≤ 1.15", 1.15, _plain(SOAK, "cpu ratio")),
)
