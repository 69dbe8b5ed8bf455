"""`python -m benchmarks`: everything, into `docs/performance.md`. `--short`: ours and a direct client, on the screen.

`growth`, `soak` and `profile` measure one thing each; `page` writes the page anew from what was kept.
"""

import argparse
import os
import time
from collections.abc import Sequence

from benchmarks import growing, ours, peers, plan, profiling, relay, report, soaking, upstream
from benchmarks.aims import AIMS
from benchmarks.processes import OURS
from benchmarks.results import Results, anew, keep
from benchmarks.running import FAILURES, before, figured, measured, opened, why
from benchmarks.scenarios import begun
from benchmarks.stats import Figure
from gateway.serving import listening


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="under a minute, on the screen")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="all seconds of load times this")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the soak is")
    parser.add_argument("--entries", type=int, default=10_000_000, help="how far the ledger grows")
    parser.add_argument("what", nargs="*", help="growth, soak, profile or page; nothing for the whole")
    asked = parser.parse_args()
    match asked.what:
        case ["upstream", port]:
            upstream.run(listening("127.0.0.1", int(port)))
        case ["relay", port, origin]:
            relay.run(listening("127.0.0.1", int(port)), origin)
        case ["page"]:
            report.write()
        case words:
            os.sched_setaffinity(0, {OURS})
            _ask(words, asked)


def _ask(words: Sequence[str], asked: argparse.Namespace) -> None:
    began = time.monotonic()
    match words:
        case ["growth"]:
            growing.everything(asked.entries, asked.rounds)
        case ["soak"]:
            soaking.soak(asked.minutes)
        case ["profile"]:
            profiling.profile(asked.scale)
        case _:
            short(asked.scale) if asked.short else everything(asked.scale, asked.rounds)
    print(f"{time.monotonic() - began:.0f} s in all")


def short(scale: float) -> Results:
    """Ours and a direct client, one round of each."""
    results = anew(peers.described())
    beside, alone = plan.quick(scale)
    with opened(results, peers.direct, ours.repligate) as (direct, gateway):
        measured(results, beside, (direct, gateway), 1)
        measured(results, alone, (gateway,), 1)
    told = [aim for aim in AIMS if aim.told(results)]
    print(f"\n{report.figures(results)}\n\n{report.aims(results, told)}\n\n{report.seconds(results)}")
    return results


def everything(scale: float, rounds: int) -> None:
    """All of them, and what only we are asked; kept, and written into the page."""
    results = anew(peers.described())
    for name, took in peers.installed().items():
        results.seconds[name], results.loads[name] = took, 0.0
    with opened(results, peers.direct, peers.relay, ours.repligate, peers.portkey, peers.litellm) as found:
        measured(results, plan.sustaining(scale), found[:1], 1)
        measured(results, plan.everyone(scale), found, rounds)
        ready = {peer.name: figured([begun(peer.started)]) for peer in found if peer.process}
    with opened(results, peers.direct, ours.repligate, peers.litellm_replicate) as found:
        measured(results, plan.provider(scale), found, rounds)
    results.figures[plan.READY] = ready | {"repligate": starts(results, rounds)}
    with opened(results, ours.repligate) as found:
        measured(results, plan.once(), found, 1)
        measured(results, plan.ours(scale), found, rounds)
    growing.measure(results, growing.FEW, rounds)
    print("\n" + report.seconds(results))
    keep("bench", results)
    report.write()


def starts(results: Results, rounds: int) -> dict[str, Figure]:
    """How ours starts, once for each round."""
    began, found = time.monotonic(), []
    for _ in range(rounds):
        try:
            with before() as (origin, folder), ours.repligate(origin, folder) as peer:
                found.append(begun(peer.started))
        except FAILURES as failed:
            results.failure(plan.READY, "repligate", why(failed))
    results.took(plan.READY, began)
    return figured(found)


if __name__ == "__main__":
    main()
