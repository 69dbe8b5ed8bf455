"""How far a video is by its log, how long it will be, and that every video model there is prepares."""

import json

import pytest

from adapters.progress import progress_of
from adapters.translate import schema_of, translate
from tests.adapters.records import Record, records
from tests.adapters.test_records import name_of

PICTURE = "https://example.com/a.png"
FILM = "https://example.com/a.mp4"
ASKED = [{}, {"seconds": "8", "size": "1280x720"}, {"seconds": 4.5, "size": "720x1280", "seed": 7}]
VIDEOS = [each for each in records("others") if each["class"] in {"text-to-video", "image-to-video"}]


@pytest.mark.parametrize(
    ("logs", "progress"),
    [
        (None, 0),
        ("Using seed: 12345\n", 0),
        (" 45%|████▌     | 9/20 [00:03<00:04,  2.47it/s]", 45),
        ("  0%|          | 0/50\r 10%|█         | 5/50\r 12%|█▏        | 6/50", 12),
        ("Progress: 45%\nProgress: 46.7 %\n", 46),
        ("step 45/100\n", 45),
        ("Sampling: step 9 of 20", 45),
        ("100%|██████████| 50/50 [00:10<00:00]\n", 99),
        ("Loading pipeline components: 100%|██████| 5/5 [00:01<00:00]\n 30%|███   | 15/50", 30),
        ("Downloading weights: 80%\nGPU memory: 91% used", 0),
        ("made on 2026/11/21 at 250%", 0),
        ("50%|█████\nDecoding frames", 50),
    ],
)
def test_progress_is_the_latest_line_that_tells(logs: str | None, progress: int) -> None:
    assert progress_of(logs) == progress


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("record", VIDEOS, ids=name_of)
def test_every_video_model_prepares(record: Record, asked: dict[str, object]) -> None:
    schema = schema_of(record)
    needs = [each.medium for each in schema.files if not each.settled]
    given = {"input_reference": {"image_url": PICTURE if "image" in needs else FILM}} if needs else {}
    request = json.dumps({"prompt": "a kite", **asked, **given}).encode()
    told = translate("videos", record, request)
    assert "error" not in told, told
    [inputs] = told["inputs"]
    assert schema.problems(inputs) == []
    assert set(inputs) <= set(schema.inputs)
    assert "a kite" in json.dumps(inputs) or told["ignored"][0] == "prompt"


def test_there_are_records_of_both_kinds() -> None:
    assert len(VIDEOS) == 11
