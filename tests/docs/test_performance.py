"""docs/performance.md is what the last measurements say, and holds every aim, also those that do not hold."""

import re
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.aims import AIMS, Aim
from benchmarks.results import Results, kept

ROOT = Path(__file__).resolve().parents[2]
PAGE = report.PAGE.read_text("utf-8")


def test_the_page_and_its_plot_are_what_was_kept_of_the_measurements() -> None:
    results = report.combined()
    mended = "`python -m benchmarks page` writes both anew"
    assert report.page(report.TEMPLATE.read_text("utf-8"), results) == PAGE, mended
    assert report.PLOT.read_text("utf-8") == report.plot(results), mended


@pytest.mark.parametrize("aim", AIMS, ids=lambda aim: aim.says)
def test_the_page_has_every_aim_as_it_was_measured(aim: Aim) -> None:
    assert f"| {aim.says} |" in PAGE


def test_the_measurements_had_three_rounds() -> None:
    results = kept("bench") or Results()
    told = results.figures["capacity, 64 clients"]
    assert {len(figure.rounds) for each in told.values() for figure in each.values()} == {3}


def test_every_command_of_the_page_is_one_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^\| `make ([a-z-]+)` \|", PAGE, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_no_part_of_the_page_was_left_out() -> None:
    assert "{{" not in PAGE
