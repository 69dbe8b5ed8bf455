"""Prices: exact, rounded once and up, unknown where nobody said."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.replicate import METRICS, Metrics, ModelRef, Prediction
from gateway.accounts.prices import Cost, Listed, Measured, Prices, Quote
from gateway.accounts.wording import worded
from gateway.config import Config, ModelRow
from gateway.tariffs import BASES, Price, Span, Tier

TEXT = Price(per_million_input_tokens=0.05, per_million_output_tokens=0.25)
PICTURE = Price(per_image=0.003)
FILM = Price(per_output_second=0.1)
TIMED = Price(hardware="gpu-t4", per_second=0.000225)


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices.shipped()


def ended(status: str = "succeeded", output: Any = None, **metrics: Any) -> Prediction:
    started = "2026-11-21T10:00:00Z" if metrics.get("predict_time") != 0 else None
    return Prediction(id="p", status=status, output=output, started_at=started, metrics=Metrics(**metrics))


@pytest.mark.parametrize(
    ("price", "prediction", "cost"),
    [
        # Replicate's own billing example: 8 tokens in and 43 out at $9.50 a million
        (Price(per_million_input_tokens=9.5), ended(input_token_count=8), Cost(76, "tokens")),
        (Price(per_million_output_tokens=9.5), ended(output_token_count=43), Cost(409, "tokens")),
        (TEXT, ended(token_input_count=39, token_output_count=149), Cost(40, "tokens")),
        (TEXT, ended(input_token_count=1, output_token_count=0), Cost(1, "tokens")),
        (TEXT, ended(token_input_count=0, token_output_count=0), Cost(0, "tokens")),
        (PICTURE, ended(image_count=1), Cost(3000, "images")),
        (PICTURE, ended(image_output_count=4, image_count=9), Cost(12_000, "images")),
        (PICTURE, ended(output=["https://x/1.png", "https://x/2.png"]), Cost(6000, "images")),
        (PICTURE, ended(output="https://x/1.png"), Cost(3000, "images")),
        (PICTURE, ended(output=None), Cost(None, "unknown: no images counted")),
        (TIMED, ended(predict_time=0.829263399), Cost(187, "seconds x gpu-t4")),
        (Price(per_second=0.0014), ended(predict_time=13.0), Cost(18_200, "seconds")),
        (Price(per_run=0.5), ended(), Cost(500_000, "run")),
        (Price(per_thousand_input_characters=0.1), ended(character_input_count=25), Cost(2500, "characters")),
        (Price(per_thousand_output_characters=0.1), ended(character_output_count=25), Cost(2500, "characters")),
        (Price(per_thousand_input_characters=0.1), ended(), Cost(None, "unknown: no characters counted")),
        (FILM, ended(video_output_duration_seconds=8.0), Cost(800_000, "output seconds")),
        (FILM, ended(audio_output_duration_seconds=1.5), Cost(150_000, "output seconds")),
        (FILM, ended(output="https://x/1.mp4"), Cost(None, "unknown: no output seconds counted")),
        (Price(per_file=0.2), ended(video_output_count=2), Cost(400_000, "files")),
        (Price(per_file=0.2), ended(audio_output_count=1, output=["a", "b"]), Cost(200_000, "files")),
        (Price(per_file=0.2), ended(output=["a", "b"]), Cost(400_000, "files")),
        (Price(per_megapixel=0.0025), ended(video_output_total_pixel_count=2_097_152), Cost(5243, "megapixels")),
        (Price(per_megapixel=0.0025), ended(image_count=1), Cost(None, "unknown: no megapixels counted")),
        (PICTURE, ended(image_count=2.0), Cost(6000, "images")),
        (PICTURE, ended(image_count="many", output="https://x/1.png"), Cost(3000, "images")),
        (Price(per_run=0.001, per_image=0.01), ended(image_count=2), Cost(21_000, "images + run")),
        (Price(per_image=0), ended(image_count=2), Cost(0, "images")),
        (TEXT, ended(), Cost(None, "unknown: no tokens counted")),
        (TEXT, ended(input_token_count=5), Cost(None, "unknown: no tokens counted")),
        (Price(per_second=0.001), ended(total_time=5.0), Cost(None, "unknown: no seconds counted")),
        (None, ended(predict_time=5.0), Cost(None, "unknown: no price")),
        (Price(), ended(predict_time=5.0), Cost(None, "unknown: no price")),
        (Price(hardware="gpu-new"), ended(predict_time=5.0), Cost(None, "unknown: no price")),
    ],
)
def test_what_a_finished_prediction_costs(prices: Prices, price: Price | None, prediction: Prediction, cost: Cost):
    assert prices.cost(price, prediction) == cost


@pytest.mark.parametrize(
    ("price", "prediction", "cost"),
    [
        (TIMED, ended("failed", predict_time=9.0), Cost(0, "free: failed")),
        (TEXT, ended("failed", token_input_count=9, token_output_count=9), Cost(0, "free: failed")),
        (None, ended("failed"), Cost(0, "free: failed")),
        (Price(per_second=0.001, private=True), ended("failed", predict_time=2.0), Cost(2000, "seconds")),
        (Price(private=True), ended("failed", predict_time=2.0), Cost(None, "unknown: no price")),
        (TIMED, ended("aborted"), Cost(0, "free: aborted")),
        (None, ended("aborted"), Cost(0, "free: aborted")),
        (TIMED, ended("canceled", predict_time=4.0), Cost(900, "seconds x gpu-t4")),
        (TIMED, ended("canceled", predict_time=0.000003), Cost(0, "free: canceled before it ran")),
        (TEXT, ended("canceled", ["Hi"], predict_time=1.0), Cost(None, "unknown: no tokens counted")),
        (PICTURE, ended("canceled", predict_time=1.0), Cost(0, "images")),
        (None, ended("canceled", predict_time=1.0), Cost(None, "unknown: no price")),
        (TIMED, Prediction(id="p", status="canceled"), Cost(0, "free: canceled before it ran")),
    ],
)
def test_what_a_prediction_costs_that_did_not_finish(
    prices: Prices, price: Price | None, prediction: Prediction, cost: Cost
):
    assert prices.cost(price, prediction) == cost


def test_every_base_that_a_price_may_have_is_computed_from_what_replicate_measures(prices: Prices):
    measures: dict[str, tuple[dict[str, Any], int]] = {
        "per_million_input_tokens": ({"input_token_count": 7}, 7),
        "per_million_output_tokens": ({"token_output_count": 7}, 7),
        "per_thousand_input_characters": ({"character_input_count": 7}, 7_000),
        "per_thousand_output_characters": ({"character_output_count": 7}, 7_000),
        "per_image": ({"image_output_count": 7}, 7_000_000),
        "per_megapixel": ({"video_output_total_pixel_count": 7_000_000}, 7_000_000),
        "per_file": ({"generic_output_count": 7}, 7_000_000),
        "per_output_second": ({"video_output_duration_seconds": 7.0}, 7_000_000),
        "per_second": ({"predict_time": 7.0}, 7_000_000),
        "per_run": ({}, 1_000_000),
    }
    assert set(measures) == set(BASES)
    for base, (metrics, cost) in measures.items():
        assert prices.cost(Price(**{base: 1.0}), ended(**metrics)).amount == cost, base


def test_replicates_own_billing_example_is_exact(prices: Prices):
    llama = prices.price("meta/meta-llama-3.1-405b-instruct")
    # $0.000076 for what went in and $0.0004085 for what came out: rounded once, up
    assert prices.cost(llama, ended(token_input_count=8, token_output_count=43)) == Cost(485, "tokens")


def test_replicates_own_price_of_a_thousand_pictures_is_three_dollars(prices: Prices):
    assert prices.cost(prices.price("black-forest-labs/flux-schnell"), ended(image_count=1000)) == Cost(
        3_000_000, "images"
    )


SOUND = Price(
    tiers=(
        Tier(when={"with_audio": True, "resolution_target": "1080p"}, per_output_second=0.6),
        Tier(when={"with_audio": True}, per_output_second=0.4),
        Tier(when={"with_audio": False}, per_output_second=0.2),
    )
)
LONG = Price(
    per_million_output_tokens=1,
    tiers=(
        Tier(when={"token_input_count": Span(above=0, up_to=1000)}, per_million_input_tokens=10),
        Tier(when={"token_input_count": Span(above=1000)}, per_million_input_tokens=20),
    ),
)


@pytest.mark.parametrize(
    ("price", "metrics", "cost"),
    [
        (SOUND, {"with_audio": False}, Cost(200_000, "output seconds, where with_audio is false")),
        (
            SOUND,
            {"with_audio": True, "resolution_target": "1080P"},
            Cost(600_000, "output seconds, where with_audio is true and resolution_target is 1080p"),
        ),
        (
            SOUND,
            {"with_audio": True, "resolution_target": "720p"},
            Cost(400_000, "output seconds, where with_audio is true"),
        ),
        (SOUND, {"with_audio": True}, Cost(None, "unknown: no resolution_target measured")),
        (SOUND, {"resolution_target": "1080p"}, Cost(None, "unknown: no with_audio measured")),
        (SOUND, {"with_audio": "yes"}, Cost(None, "unknown: no tier fits")),
        (SOUND, {"with_audio": ["yes"]}, Cost(None, "unknown: no with_audio measured")),
        (SOUND, {"with_audio": 1}, Cost(None, "unknown: no tier fits")),
        (
            LONG,
            {"input_token_count": 1000, "output_token_count": 1},
            Cost(10_001, "tokens, where token_input_count is above 0 and up to 1000"),
        ),
        (
            LONG,
            {"token_input_count": 1001, "token_output_count": 1},
            Cost(20_021, "tokens, where token_input_count is above 1000"),
        ),
        (LONG, {"token_input_count": 0, "token_output_count": 1}, Cost(None, "unknown: no tier fits")),
        (LONG, {}, Cost(None, "unknown: no token_input_count measured")),
    ],
)
def test_the_first_tier_whose_criteria_hold_says_the_price(
    prices: Prices, price: Price, metrics: dict[str, Any], cost: Cost
):
    assert prices.cost(price, ended(video_output_duration_seconds=1.0, **metrics)) == cost


def test_a_tier_without_criteria_is_for_all_the_rest(prices: Prices):
    price = Price(tiers=(Tier(when={"model_variant": "pro"}, per_run=2), Tier(per_run=1)))
    assert prices.cost(price, ended(model_variant="lite")) == Cost(1_000_000, "run")
    assert prices.cost(price, ended()).amount is None


def test_tokens_we_counted_ourselves_decide_on_a_tier_too(prices: Prices):
    cost = prices.cost(LONG, ended(), counted=Measured(input_tokens=2000, output_tokens=0))
    assert cost == Cost(40_000, "tokens, estimated, where token_input_count is above 1000")


def test_pictures_without_a_pixel_count_are_as_large_as_they_were_asked_for(prices: Prices):
    price = Price(per_megapixel=0.0025)

    def drawn(**inputs: Any) -> Cost:
        told = msgspec.Raw(msgspec.json.encode(inputs))
        return prices.cost(price, msgspec.structs.replace(ended(output=["a", "b"]), input=told))

    assert drawn(width=1024, height=1024) == Cost(5243, "megapixels, estimated")
    assert drawn(width=1024, height=1024, aspect_ratio="custom") == Cost(5243, "megapixels, estimated")
    assert drawn(width=1024, height=1024, aspect_ratio="1:1").amount is None
    assert drawn(width="large", height=[]).amount is None
    assert drawn(width=1024).amount is None


def test_metrics_of_any_kind_cost_nobody_an_answer():
    told = {"with_audio": {"a": 1}, "model_variant": 3, "image_count": "x", "token_input_count": 2.0, "extra": []}
    body = msgspec.json.encode({"id": "p", "status": "succeeded", "output": "Hi", "metrics": told})
    metrics = msgspec.json.decode(body, type=Prediction).metrics
    assert metrics
    assert (metrics.images, metrics.input_tokens, metrics.told("with_audio"), metrics.told("model_variant")) == (
        None,
        2,
        None,
        3,
    )


def test_a_run_without_metrics_is_timed_by_its_instants(prices: Prices):
    ran = Prediction(
        id="p",
        status="succeeded",
        started_at="2026-11-21T10:00:00.500Z",
        completed_at="2026-11-21T10:00:02.000000Z",
    )
    assert prices.cost(Price(per_second=0.001), ran) == Cost(1500, "seconds")


def test_tokens_we_counted_ourselves_are_called_estimated(prices: Prices):
    counted = Measured(input_tokens=39, output_tokens=149)
    assert prices.cost(TEXT, ended(), counted=counted) == Cost(40, "tokens, estimated")
    measured = ended(token_input_count=1_000_000, token_output_count=0)
    assert prices.cost(TEXT, measured, counted=counted) == Cost(50_000, "tokens")
    assert prices.cost(PICTURE, ended(image_count=1), counted=counted) == Cost(3000, "images")


def test_half_a_count_of_replicates_is_completed_and_called_estimated(prices: Prices):
    counted = Measured(input_tokens=1_000_000, output_tokens=7)
    assert prices.cost(TEXT, ended(output_token_count=0), counted=counted) == Cost(50_000, "tokens, estimated")


def test_what_is_reserved_is_what_the_most_would_cost(prices: Prices):
    most = Measured(input_tokens=1000, output_tokens=4096, images=4, seconds=600)
    assert prices.estimate(TEXT, most) == Cost(1074, "tokens")
    assert prices.estimate(PICTURE, most) == Cost(12_000, "images")
    assert prices.estimate(TIMED, most) == Cost(135_000, "seconds x gpu-t4")
    assert prices.estimate(TEXT, Measured()) == Cost(None, "unknown: no tokens counted")


def test_what_is_reserved_is_the_dearest_tier(prices: Prices):
    assert prices.estimate(SOUND, Measured(output_seconds=2)) == Cost(1_200_000, "output seconds")
    assert prices.estimate(SOUND, Measured()).amount is None


def test_a_quote_goes_from_the_cheapest_tier_to_the_dearest(prices: Prices):
    assert prices.quote(SOUND, Measured(output_seconds=1), Measured(output_seconds=2)) == Quote(
        200_000, 1_200_000, "output seconds"
    )
    assert prices.quote(TEXT, Measured(input_tokens=10, output_tokens=0), Measured(input_tokens=10)) == Quote(
        1, None, "unknown: no tokens counted"
    )
    assert prices.quote(None, Measured(), Measured()) == Quote(None, None, "unknown: no price")


quantities = st.integers(0, 10**9)
dollars = st.floats(0, 1000, allow_nan=False, allow_subnormal=False)


@given(count=quantities, out=quantities, each=dollars, other=dollars)
def test_a_cost_is_exact_and_rounded_once_and_up(prices: Prices, count: int, out: int, each: float, other: float):
    price = Price(per_million_input_tokens=each, per_million_output_tokens=other)
    exact = Fraction(Decimal(repr(each))) * count + Fraction(Decimal(repr(other))) * out
    assert prices.estimate(price, Measured(input_tokens=count, output_tokens=out)).amount == ceil(exact)


@given(seconds=st.floats(0, 10**6), more=st.floats(0, 10**6), each=dollars)
def test_more_never_costs_less(prices: Prices, seconds: float, more: float, each: float):
    price = Price(per_second=each)
    less, most = (prices.estimate(price, Measured(seconds=time)).amount for time in (seconds, seconds + more))
    assert less is not None
    assert most is not None
    assert 0 <= less <= most


numbers = st.none() | st.floats() | st.integers(-(10**30), 10**30)
statuses = st.sampled_from(["starting", "processing", "succeeded", "failed", "canceled", "aborted"])


AMOUNTS = [name for name in Measured.__struct_fields__ if name != "estimated"]
bases = st.sampled_from(BASES)
amounts = st.builds(
    Measured,
    **{name: st.integers(0, 10**6) for name in AMOUNTS},
)


@given(
    tiers=st.lists(st.tuples(bases, dollars, st.integers(0, 1000)), max_size=4),
    tokens=st.integers(0, 2000),
    took=amounts,
)
def test_no_cost_is_outside_of_its_quote(
    prices: Prices, tiers: list[tuple[str, float, int]], tokens: int, took: Measured
):
    price = Price(
        tiers=tuple(Tier(when={"token_input_count": Span(up_to=up_to)}, **{b: each}) for b, each, up_to in tiers)
    )
    cost = prices.cost(price, ended(token_input_count=tokens, predict_time=1.0), counted=took)
    least, most = Measured(**dict.fromkeys(AMOUNTS, 0)), Measured(**dict.fromkeys(AMOUNTS, 10**6))
    quote = prices.quote(price, least, most)
    if cost.amount is not None:
        assert quote.low is not None
        assert quote.high is not None
        assert quote.low <= cost.amount <= quote.high


@given(time=numbers, tokens=numbers, images=numbers, each=dollars, status=statuses)
def test_whatever_replicate_measures_a_cost_is_a_sane_amount_or_unknown(
    prices: Prices, time: Any, tokens: Any, images: Any, each: float, status: str
):
    price = Price(per_second=each, per_image=each, per_million_output_tokens=each)
    cost = prices.cost(price, ended(status, predict_time=time, output_token_count=tokens, image_count=images))
    assert cost.amount is None or 0 <= cost.amount <= 2**53
    assert (cost.amount is None) == cost.basis.startswith("unknown")


def test_the_operators_price_wins(prices: Prices):
    row = ModelRow(model="black-forest-labs/flux-schnell", price=Price(per_image=0.01))
    assert prices.price(row.model, row) == Price(per_image=0.01)
    assert prices.price(row.model) == Price(per_image=0.003)
    assert prices.price(row.model, ModelRow(model=row.model)) == Price(per_image=0.003)


def test_hardware_stands_for_its_seconds(prices: Prices):
    row = ModelRow(model="acme/own", price=Price(hardware="gpu-h100"))
    assert prices.price("acme/own", row) == Price(hardware="gpu-h100", per_second=0.001525)
    dearer = ModelRow(model="acme/own", price=Price(hardware="gpu-h100", per_second=1.0))
    assert prices.price("acme/own", dearer) == Price(hardware="gpu-h100", per_second=1.0)


def test_hardware_nobody_knows_is_pointed_out(prices: Prices):
    config = Config(
        models={
            "good": ModelRow(model="acme/a", price=Price(hardware="gpu-t4")),
            "bad": ModelRow(model="acme/b", price=Price(hardware="gpu-tt4")),
        }
    )
    (problem,) = prices.problems(config)
    assert problem.startswith("models.\"bad\".price.hardware: 'gpu-tt4' has no known price; there are cpu")


def test_a_version_costs_what_its_model_costs(prices: Prices):
    assert prices.price(f"black-forest-labs/flux-schnell:{'a' * 64}") == Price(per_image=0.003)
    assert prices.price("a" * 64) is None


def test_the_failed_runs_of_a_deployment_are_not_called_free(prices: Prices):
    price = prices.price("deployments/acme/own")
    assert prices.cost(price, ended("failed", predict_time=5.0)) == Cost(None, "unknown: no price")


def test_a_line_is_doubted_when_it_is_uncertain_or_older_than_a_year():
    def listed(day: str, confidence: str = "third-party") -> Listed:
        return Listed(price=Price(per_run=1), source="here", date=day, confidence=confidence)

    table = {
        "a/new": listed("2026-11"),
        "a/old": listed("2025-11-20"),
        "a/vague": listed("2025"),
        "a/unsure": listed("2025-11-21", "uncertain"),
        "a/mine": listed("2020", "uncertain"),
        "a/other": listed("2026"),
    }
    rows = {name: ModelRow(model=f"a/{name}") for name in ("new", "old", "vague", "unsure", "none")}
    rows["mine"] = ModelRow(model="a/mine", price=Price(per_run=2))
    rows["own"] = ModelRow(model="deployments/a/own")
    lines = Prices(table, {}).lines(Config(models=rows), date(2026, 11, 22))
    assert {line.model: line.problems for line in lines} == {
        "new": (),
        "old": ("older than a year",),
        "vague": ("older than a year",),
        "unsure": ("uncertain",),
        "none": ("no price",),
        "mine": (),
        "own": ("no price",),
        "a/other": (),
    }


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (TEXT, "$0.05 per million input tokens + $0.25 per million output tokens"),
        (Price(hardware="gpu-t4"), "seconds x gpu-t4"),
        (Price(per_second=0.000025, private=True), "$0.000025 per second; failed runs too"),
        (Price(per_run=100.0), "$100 per run"),
        (
            Price(per_image=1, tiers=(Tier(when={"predict_time": Span(above=0.5, up_to=9)}, per_run=2),)),
            "$1 per image; $2 per run where predict_time is above 0.5 and up to 9",
        ),
        (Price(tiers=(Tier(per_run=1),)), "$1 per run"),
        (Price(), ""),
    ],
)
def test_a_price_in_words_says_all_of_it(price: Price, words: str):
    assert worded(price) == words


def test_every_line_of_the_table_is_sourced_dated_and_usable(prices: Prices):
    assert len(prices.models) > 40
    for ref, line in {**prices.models, **prices.hardware}.items():
        assert line.source, ref
        date.fromisoformat(f"{line.date}-01-01"[:10])
        most = Measured(
            input_tokens=10**6,
            output_tokens=10**6,
            input_characters=1000,
            images=1,
            megapixels=1,
            files=1,
            output_seconds=1,
            seconds=1,
        )
        price = prices.price(ref) if ref in prices.models else line.price
        assert prices.estimate(price, most).amount, ref
    for line in prices.models.values():
        assert METRICS.issuperset(name for tier in line.price.tiers for name in tier.when)
    for ref in prices.models:
        assert ModelRef.parse(ref).path == ref
