"""The results as a page: `benchmarks/page.md` says how they are measured, and where each part goes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.aims import AIMS, GROWN, Aim, growth
from benchmarks.plan import CAPACITY, RELAYING, SUSTAINED
from benchmarks.plotting import Curve, plotted
from benchmarks.results import Results, kept
from benchmarks.stats import Figure

HERE = Path(__file__).resolve().parent
TEMPLATE, PAGE, PLOT = HERE / "page.md", HERE.parent / "docs/performance.md", HERE.parent / "docs/growth.svg"

_LATENCIES = ("p50", "p95", "p99")


def write() -> None:
    """The page and its plot, from what is kept."""
    results = combined()
    PAGE.write_text(page(TEMPLATE.read_text("utf-8"), results), "utf-8")
    PLOT.write_text(plot(results), "utf-8")


def combined() -> Results:
    """The last full run, with the growth and the soak that were measured apart from it."""
    results = kept("bench") or Results()
    for name in ("growth", "soak"):
        if apart := kept(name):
            results.joined(apart)
    return results


def page(template: str, results: Results) -> str:
    """The template with each `{{part}}` filled in."""
    parts = {
        "machine": machine(results),
        "aims": aims(results),
        "sustained": sustained(results),
        "short of": short_of(results),
        "failed": failed(results),
        "figures": figures(results),
        "seconds": seconds(results),
    }
    for name, part in parts.items():
        template = template.replace("{{" + name + "}}", part)
    return template


def machine(results: Results) -> str:
    """Where and when; with what."""
    told = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    apart = "".join(f"; {scenario}: {when}" for scenario, when in results.apart.items())
    return f"{results.when}, {results.machine}; {told}{apart}"


def aims(results: Results, among: Sequence[Aim] = AIMS) -> str:
    """Each aim, what was measured, and whether it holds."""
    rows = [f"| {' | '.join(aim.row(results))} |" for aim in among]
    return "\n".join(["| aim | prototype | measured | holds |", "|---|---:|---:|---|", *rows])


def sustained(results: Results) -> str:
    """What clients and upstream can do, beside the most that was asked of them by whoever stood in between."""
    if not (told := results.figures.get(SUSTAINED, {}).get("direct")):
        return "not measured."
    most = {"requests/s": _most(results, CAPACITY), "tokens/s": _most(results, RELAYING)}
    can = ", ".join(f"{figure.median:,.0f} {name}" for name, figure in told.items())
    asked = ", ".join(f"{value:,.0f} {name}" for name, value in most.items())
    return f"{can} together on their core; ours was measured at {asked}."


def _most(results: Results, scenario: str) -> float:
    return max(results.get(scenario, "repligate", "per_second").known)


def short_of(results: Results) -> str:
    """How many hold."""
    verdicts = [aim.holds(results) for aim in AIMS]
    no, unknown = verdicts.count(False), verdicts.count(None)
    told = f"{verdicts.count(True)} of {len(AIMS)} aims hold, {no} do not"
    return f"{told}, {unknown} were not measured." if unknown else f"{told}."


def figures(results: Results) -> str:
    """Each scenario with a line for each peer."""
    return "\n\n".join(_table(name, results) for name in results.figures)


def _table(scenario: str, results: Results) -> str:
    told = _with_added(results.figures[scenario])
    names = list(dict.fromkeys(name for each in told.values() for name in each))
    head = [f"| {scenario} | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    rows = [f"| {peer} | {' | '.join(_cell(each.get(name)) for name in names)} |" for peer, each in told.items()]
    why = results.failed.get(scenario, {})
    return "\n".join([*head, *rows, *(f"| {peer} | failed: {each} |" for peer, each in why.items())])


def _with_added(told: Mapping[str, Mapping[str, Figure]]) -> dict[str, dict[str, Figure]]:
    """What each adds to a direct client's latency, beside what it is."""
    direct = told.get("direct", {})
    added = {
        peer: {f"+{name}": each[name].less(direct[name]) for name in _LATENCIES if name in each and name in direct}
        for peer, each in told.items()
    }
    return {peer: {**each, **(added[peer] if peer != "direct" else {})} for peer, each in told.items()}


def _cell(figure: Figure | None) -> str:
    if not figure or not figure.known:
        return ""
    median = f"{figure.median:,.0f}" if abs(figure.median) >= 1000 else f"{figure.median:.3g}"
    return f"{median} ± {figure.spread * 100:.0f} %" if len(figure.known) > 1 else median


def failed(results: Results) -> str:
    """Who failed at what."""
    lines = [f"- {peer} at {name}: {why}" for name, told in results.failed.items() for peer, why in told.items()]
    return "\n".join(lines) or "Nobody failed at anything."


def seconds(results: Results) -> str:
    """What each scenario took, all peers and rounds together, and how long its load was meant to be."""
    rows = [f"| {name} | {results.loads[name]:.0f} | {took:.0f} |" for name, took in results.seconds.items()]
    total = f"| **in all** | {sum(results.loads.values()):.0f} | **{sum(results.seconds.values()):.0f}** |"
    return "\n".join(["| scenario | load | in all |", "|---|---:|---:|", *rows, total])


def plot(results: Results) -> str:
    """CPU of a call as things grow, each curve over its own first point."""
    return plotted([Curve(what, _points(results, growth(what))) for what in GROWN if growth(what) in results.figures])


def _points(results: Results, scenario: str) -> list[tuple[int, float]]:
    told = results.figures[scenario]
    points = [(int(size.replace(",", "")), each["cpu_us"].median) for size, each in told.items()]
    return sorted(points)
