"""Every folder under `cases/` is a translation: a request and a schema, what is prepared, what comes, what is said.

case.json: `model` (a record of `schemas/`, with `listing` where there are two) or a schema.json beside it; `request`;
optionally `row`; then `prepared` or `error`; then, where the case goes on, `events` and `predictions` with `chunks`,
or `predictions` with `reply`, or `files`, or `failure`.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.base import Prepared, Row, Stamp
from adapters.catalog import shipped
from adapters.dictations import Dictation
from adapters.errors import ApiError
from adapters.images import ImageAdapter
from adapters.schema import Schema
from adapters.speech import SpeechAdapter
from adapters.transcription import TranscriptionAdapter
from adapters.translate import KINDS, schema_of
from adapters.videos import VideoAdapter, video_of
from adapters.wire.audio import SpeechRequest
from adapters.wire.base import decode
from adapters.wire.images import ImageEditRequest, ImageFile, ImageRequest
from adapters.wire.replicate import Event, ModelRef, Prediction
from adapters.wire.videos import VideoRequest
from tests.adapters.records import record

CASES = Path(__file__).parent / "cases"
STAMP = Stamp(id="chatcmpl-1", created=1_700_000_000, model="m")

Case = dict[str, Any]


def folders(kind: str) -> list[Path]:
    return sorted(path.parent for path in (CASES / kind).glob("*/case.json"))


def told(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def error_of(refused: ApiError) -> Case:
    return {"status": refused.status, "message": refused.message, "param": refused.param, "code": refused.code}


def schema_for(folder: Path, case: Case) -> tuple[Schema, ModelRef]:
    beside = folder / "schema.json"
    found = json.loads(beside.read_text("utf-8")) if beside.exists() else record(case["model"], case.get("listing"))
    return schema_of(found), ModelRef.parse(case["model"])


def row_of(case: Case) -> Row | None:
    return msgspec.convert({"model": case["model"], **case["row"]}, Row) if "row" in case else None


def body(case: Case) -> bytes:
    return json.dumps({"model": "m", **case["request"]}).encode()


def predictions_of(case: Case) -> list[Prediction]:
    whole = [{"id": f"p{n}", "status": "succeeded", **each} for n, each in enumerate(case.get("predictions", []))]
    return msgspec.convert(whole, list[Prediction])


def prepared_as_said(case: Case, prepared: Prepared, schema: Schema) -> None:
    said = case["prepared"]
    assert told(prepared.inputs) == said["inputs"]
    assert list(prepared.ignored) == said.get("ignored", [])
    assert list(prepared.adjusted) == said.get("adjusted", [])
    assert [schema.problems(inputs) for inputs in prepared.inputs] == [[] for _ in prepared.inputs]


SPEAKING = [(kind, folder) for kind in ("chat", "completions", "responses") for folder in folders(kind)]


@pytest.mark.parametrize(("kind", "folder"), SPEAKING, ids=[f"{kind}-{folder.name}" for kind, folder in SPEAKING])
def test_what_models_say_is_translated_as_its_case_says(kind: str, folder: Path) -> None:
    case: Case = json.loads((folder / "case.json").read_text("utf-8"))
    schema, ref = schema_for(folder, case)
    found: Any = shipped().find(KINDS[kind].adapter, ref)
    adapter = found.amended(row_of(case))
    if "error" in case:
        with pytest.raises(ApiError) as refused:
            adapter.prepare(decode(body(case), KINDS[kind].request), schema)
        assert error_of(refused.value) == case["error"]
        return
    request = decode(body(case), KINDS[kind].request)
    prepared = adapter.prepare(request, schema)
    prepared_as_said(case, prepared, schema)
    predictions = predictions_of(case)
    if "failure" in case:
        with pytest.raises(ApiError) as failed:
            adapter.stream(request, STAMP, prepared).whole(predictions)
        assert error_of(failed.value) == case["failure"]
    if "reply" in case:
        assert told(adapter.stream(request, STAMP, prepared).whole(predictions)) == case["reply"]
    if "chunks" in case:
        stream = adapter.stream(request, STAMP, prepared)
        events = msgspec.convert(case["events"], list[Event], strict=True)
        chunks = [chunk for event in events for chunk in stream.feed(event)]
        assert told([*chunks, *stream.close(predictions)]) == case["chunks"]


PICTURES = {"images": ImageRequest, "edits": ImageEditRequest}


@pytest.mark.parametrize("folder", [*folders("images"), *folders("edits")], ids=lambda folder: folder.name)
def test_images_are_translated_as_their_case_says(folder: Path) -> None:
    wanted = PICTURES[folder.parent.name]
    case: Case = json.loads((folder / "case.json").read_text("utf-8"))
    schema, ref = schema_for(folder, case)
    adapter = shipped().find(ImageAdapter, ref).amended(row_of(case))
    if "error" in case:
        with pytest.raises(ApiError) as refused:
            adapter.prepare(decode(body(case), wanted), schema)
        assert error_of(refused.value) == case["error"]
        return
    request = decode(body(case), wanted)
    prepared = adapter.prepare(request, schema)
    prepared_as_said(case, prepared, schema)
    assert {name: mask.redrawn for name, mask in prepared.masks.items()} == case.get("redrawn", {})
    predictions = predictions_of(case)
    if "failure" in case:
        with pytest.raises(ApiError) as failed:
            adapter.files(request, predictions, prepared)
        assert error_of(failed.value) == case["failure"]
    if "files" in case:
        files = adapter.files(request, predictions, prepared)
        assert files == case["files"]
        kept = [ImageFile(url=f"/outputs/{n}", content_type="image/png", content=b"%d" % n) for n in range(len(files))]
        assert told(adapter.parse(request, kept, predictions, STAMP)) == case["reply"]


@pytest.mark.parametrize("folder", [*folders("embeddings"), *folders("moderations")], ids=lambda folder: folder.name)
def test_what_is_read_whole_is_translated_as_its_case_says(folder: Path) -> None:
    kind = KINDS[folder.parent.name]
    case: Case = json.loads((folder / "case.json").read_text("utf-8"))
    schema, ref = schema_for(folder, case)
    adapter: Any = shipped().find(kind.adapter, ref).amended(row_of(case))
    if "error" in case:
        with pytest.raises(ApiError) as refused:
            adapter.prepare(decode(body(case), kind.request), schema)
        assert error_of(refused.value) == case["error"]
        return
    request = decode(body(case), kind.request)
    prepared = adapter.prepare(request, schema)
    prepared_as_said(case, prepared, schema)
    predictions = predictions_of(case)
    if "failure" in case:
        with pytest.raises(ApiError) as failed:
            adapter.parse(request, predictions, STAMP, prepared)
        assert error_of(failed.value) == case["failure"]
    if "reply" in case:
        assert told(adapter.parse(request, predictions, STAMP, prepared)) == case["reply"]


HEARD = [(kind, folder) for kind in ("transcriptions", "translations") for folder in folders(kind)]


@pytest.mark.parametrize(("kind", "folder"), HEARD, ids=lambda each: each if isinstance(each, str) else each.name)
def test_what_is_heard_is_translated_as_its_case_says(kind: str, folder: Path) -> None:
    case: Case = json.loads((folder / "case.json").read_text("utf-8"))
    schema, ref = schema_for(folder, case)
    adapter = shipped().find(TranscriptionAdapter, ref).amended(row_of(case))
    if "error" in case:
        with pytest.raises(ApiError) as refused:
            adapter.prepare(decode(body(case), KINDS[kind].request), schema)
        assert error_of(refused.value) == case["error"]
        return
    request: Any = decode(body(case), KINDS[kind].request)
    prepared = adapter.prepare(request, schema)
    prepared_as_said(case, prepared, schema)
    predictions, written = predictions_of(case), case.get("written", {})
    assert adapter.addresses(predictions) == list(written)
    if "failure" in case:
        with pytest.raises(ApiError) as failed:
            adapter.parse(request, predictions, written, prepared)
        assert error_of(failed.value) == case["failure"]
    if "reply" in case:
        assert told(adapter.parse(request, predictions, written, prepared)) == case["reply"]
    if "chunks" in case:
        dictation = Dictation(schema)
        deltas = [delta for event in msgspec.convert(case["events"], list[Event]) for delta in dictation.feed(event)]
        assert (
            told([*deltas, *dictation.close(adapter.parse(request, predictions, written, prepared))]) == case["chunks"]
        )


@pytest.mark.parametrize("folder", folders("speech"), ids=lambda folder: folder.name)
def test_speech_is_translated_as_its_case_says(folder: Path) -> None:
    case: Case = json.loads((folder / "case.json").read_text("utf-8"))
    schema, ref = schema_for(folder, case)
    adapter = shipped().find(SpeechAdapter, ref).amended(row_of(case))
    request = decode(body(case), SpeechRequest)
    if "error" in case:
        with pytest.raises(ApiError) as refused:
            adapter.prepare(request, schema)
        assert error_of(refused.value) == case["error"]
        return
    prepared = adapter.prepare(request, schema)
    prepared_as_said(case, prepared, schema)
    predictions = predictions_of(case)
    if "failure" in case:
        with pytest.raises(ApiError) as failed:
            adapter.files(request, predictions, prepared)
        assert error_of(failed.value) == case["failure"]
    if "files" in case:
        assert adapter.files(request, predictions, prepared) == case["files"]


@pytest.mark.parametrize("folder", folders("videos"), ids=lambda folder: folder.name)
def test_videos_are_translated_as_their_case_says(folder: Path) -> None:
    case: Case = json.loads((folder / "case.json").read_text("utf-8"))
    schema, ref = schema_for(folder, case)
    adapter = shipped().find(VideoAdapter, ref).amended(row_of(case))
    if "error" in case:
        with pytest.raises(ApiError) as refused:
            adapter.prepare(decode(body(case), VideoRequest), schema)
        assert error_of(refused.value) == case["error"]
        return
    request = decode(body(case), VideoRequest)
    prepared = adapter.prepare(request, schema)
    prepared_as_said(case, prepared, schema)
    assert told(adapter.planned(request, schema, prepared)) == case["planned"]
    for prediction in predictions_of(case):
        if "failure" in case:
            with pytest.raises(ApiError) as failed:
                video_of(prediction, [request.prompt])
            assert error_of(failed.value) == case["failure"]
        else:
            assert video_of(prediction, [request.prompt]) == case["file"]


def test_there_are_cases_of_every_kind() -> None:
    assert len(folders("chat")) >= 30
    assert len(folders("embeddings")) >= 20
    assert len(folders("moderations")) >= 10
    assert len(folders("completions")) >= 6
    assert len(folders("responses")) >= 6
    assert len(folders("images")) >= 20
    assert len(HEARD) >= 30
    assert len(folders("speech")) >= 15
