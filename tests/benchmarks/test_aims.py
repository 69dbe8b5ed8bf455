"""An aim is judged by ratios within a round, and says so where it does not hold or was not measured."""

from benchmarks.aims import AIMS, Aim
from benchmarks.plan import CAPACITY, ONE
from benchmarks.plotting import Curve, plotted
from benchmarks.report import figures, page
from benchmarks.results import Results
from benchmarks.soaking import Sample, compared
from benchmarks.stats import Figure


def aim(beginning: str) -> Aim:
    return next(each for each in AIMS if each.says.startswith(beginning))


def test_a_ratio_is_of_two_figures_of_one_round() -> None:
    told = {
        "repligate": {"per_second": Figure((2000.0, 100.0, 210.0))},
        "litellm": {"per_second": Figure((100.0, 5.0, 10.0))},
    }
    results = Results(figures={CAPACITY: told})
    assert aim("requests/s").told(results) == Figure((20.0, 20.0, 21.0))
    assert aim("requests/s").holds(results) is True


def test_a_round_that_failed_for_one_counts_for_neither() -> None:
    told = {
        "repligate": {"p50": Figure((52.0, 60.0))},
        "direct": {"p50": Figure((50.5, None))},
    }
    assert aim("added p50 at one client ≤").told(Results(figures={ONE: told})) == Figure((1.5, None))


def test_what_was_not_measured_is_not_said_to_hold() -> None:
    assert {each.holds(Results()) for each in AIMS} == {None}
    assert "not measured" in aim("requests/s").row(Results())


def test_whichever_floor_there_was_is_compared_with() -> None:
    ours = {"repligate": {"cpu_us": Figure((90.0,))}}
    for floor in ("nginx", "raw relay"):
        results = Results(figures={CAPACITY: {**ours, floor: {"cpu_us": Figure((10.0,))}}})
        assert aim("CPU per request, over the bare relay's").told(results) == Figure((9.0,))


def test_who_failed_stands_in_the_table_with_the_reason() -> None:
    results = Results(figures={CAPACITY: {"direct": {"per_second": Figure((9000.0,))}}})
    results.failure(CAPACITY, "portkey", "500: something went wrong")
    assert "| portkey | failed: 500: something went wrong |" in figures(results)
    assert page("{{failed}}", results) == f"- portkey at {CAPACITY}: 500: something went wrong"


def test_a_soak_that_leaves_more_than_it_found_fails() -> None:
    steady = [Sample(100, 20, 8, 500)] * 20
    growing = [Sample(100 + 2 * window, 20 + window, 8 + window, 500 + 20 * window) for window in range(20)]
    for samples, verdict in ((steady, True), (growing, False)):
        told = {"repligate": {name: Figure((value,)) for name, value in compared(samples).items()}}
        results = Results(figures={"soak": told})
        assert {each.holds(results) for each in AIMS if each.says.startswith("soak")} == {verdict}


def test_a_plot_has_a_dot_for_every_size_also_for_none() -> None:
    drawn = plotted([Curve("keys", [(1, 300.0), (10_000, 310.0)]), Curve("entries", [(0, 290.0), (10_000_000, 300.0)])])
    assert drawn.count("<circle") == 4 + 2
    assert drawn.count("<polyline") == 2
