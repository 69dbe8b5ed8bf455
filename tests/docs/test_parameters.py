"""docs/parameters.md is what the code does, and leaves out no field of OpenAI's document."""

import pytest

from gateway.app import HANDLERS
from tests.docs.parameters import OPENAI, PAGE, Probe, page, probes

SERVED = {path for handler in HANDLERS for path in handler.paths}
RUNS_NO_MODEL = {endpoint for endpoint in OPENAI if endpoint.startswith(("/v1/files", "/v1/uploads"))}


def test_the_page_is_what_the_code_does() -> None:
    assert PAGE.read_text("utf-8") == page(), "write it anew: python -m tests.docs.parameters"


def test_every_endpoint_that_is_served_and_runs_a_model_is_on_it() -> None:
    assert {probe.endpoint for probe in probes()} == (OPENAI.keys() & SERVED) - RUNS_NO_MODEL


@pytest.mark.parametrize("probe", probes(), ids=lambda probe: probe.endpoint)
def test_every_field_of_openais_has_a_sample(probe: Probe) -> None:
    assert set(OPENAI[probe.endpoint]) <= {*probe.body, *probe.samples, *probe.here}
