"""Transcriptions and translations: a recording in; words out, and when they were said, where the model tells."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from adapters.base import Adapter, Prepared, Reading, Table
from adapters.errors import InvalidRequest, Unsupported
from adapters.failures import failure
from adapters.heard import SUBTITLED, Reply, asks_words, reply_of
from adapters.languages import NAMES, code_of
from adapters.lengths import seconds_of
from adapters.outputs import is_address
from adapters.pictures import places_for
from adapters.refusals import refuse_other_kinds
from adapters.schema import Input, Schema
from adapters.tables import Draft, into, substituted
from adapters.transcripts import TELLING, addresses, by_words, transcript
from adapters.wire.audio import (
    DIARIZED,
    HeardRequest,
    TranscriptionRequest,
    TranslationRequest,
)
from adapters.wire.replicate import Inputs, Prediction

_LANGUAGES = ("language", "lang", "language_code", "source_language", "src_lang", "audio_language", "input_language")
_SWITCHES = ("word_timestamps", "word_level_timestamps", "enable_word_timestamps", "align_output", "return_words")
_CHOICES = ("timestamp", "timestamps", "timestamp_type", "timestamp_level", "granularity", "return_timestamps")
_STRETCHED = ("return_timestamps", "timestamps", "with_timestamps", "segment_timestamps")
_SPEAKERS = ("diarise_audio", "diarize_audio", "diarization", "diarisation", "diarize", "diarise", "speaker_labels")
_COUNTED = ("num_speakers", "min_speakers", "max_speakers", "speakers_expected")
_CUTS = ("vad_filter", "vad", "use_vad", "enable_vad")
_SHORTEST = 0.1
_TIMED = (*SUBTITLED, "verbose_json", DIARIZED)
_HEARABLE = ("audio/", "video/")


def _language(value: Any, schema: Schema) -> Inputs:
    given = schema.get(*_LANGUAGES)
    if given is None:
        return {}
    code = code_of(str(value))
    # A model may have words of its own for a language.
    names = (code, NAMES[code]) if code else ()
    words = {str(word).lower(): word for word in given.enum}
    for word in (str(value), *names):
        if word.lower() in words:
            return {given.name: words[word.lower()]}
    if given.enum:
        raise Unsupported(f"This model does not list the language '{str(value)[:60]}'.", param="language")
    shown = given.default if isinstance(given.default, str) else schema.example.get(given.name)
    named = isinstance(shown, str) and len(shown) > 3 and code_of(shown) is not None
    return {given.name: NAMES[code] if named and code else value}


def _one_language(value: Any, schema: Schema) -> Inputs:
    own = schema.get("languages")
    if own and own.many:
        return {own.name: list(value)}
    return _language(value[0], schema) if len(value) == 1 else {}


def _keywords(value: Any, schema: Schema) -> Inputs:
    given = schema.get("keywords", "hotwords", "keyterms", "vocabulary", "word_boost", "custom_vocabulary")
    return {given.name: list(value) if given.many else ", ".join(value)} if given else {}


def _cuts(value: Any, schema: Schema) -> Inputs:
    given = schema.get(*_CUTS)
    return {given.name: True} if given and given.kind == "boolean" else {}


STANDARD: Table = {
    "language": _language,
    "languages": _one_language,
    "prompt": into("initial_prompt", "prompt", "context"),
    "temperature": into("temperature"),
    "keywords": _keywords,
    "chunking_strategy": _cuts,
}
"""Parameters that become inputs where the model has one for them."""


class TranscriptionAdapter(Adapter, frozen=True, kw_only=True):
    """Translates transcriptions and translations for a family. `places` names the input for the recording, where the
    schema does not show it."""

    places: tuple[str, ...] = ()

    def prepare(self, request: HeardRequest, schema: Schema) -> Prepared:
        """The one prediction's inputs. Raises InvalidRequest, Unsupported or MissingParameter; nothing was spent."""
        schema = substituted(schema, self.instead)
        refuse_other_kinds(schema, "transcription")
        draft = Draft(self, schema)
        draft.put("file", {self._place(schema).name: _address(request)})
        if isinstance(request, TranslationRequest):
            draft.put("task", into_english(schema))
        _refuse_untold(request, schema)
        draft.put("response_format", _telling(request, schema))
        given = {name: getattr(request, name, None) for name in STANDARD}
        draft.translate({name: value for name, value in given.items() if value != ()}, {**STANDARD, **self.table})
        draft.pass_on(request.extra)
        return draft.prepared([draft.finish()], Reading())

    def addresses(self, predictions: Sequence[Prediction]) -> list[str]:
        """Files that must be read to know what was said."""
        return [each for prediction in predictions for each in addresses(prediction.output)]

    def parse(
        self, request: HeardRequest, predictions: Sequence[Prediction], files: Mapping[str, str], prepared: Prepared
    ) -> Reply:
        """The reply, text as a bare string. `files` has what stands at `addresses`. Raises what a failed prediction
        means, and InvalidAnswer where the model did not tell what was asked for."""
        [prediction] = predictions
        if error := failure(prediction, [request.prompt or "", *prepared.unsaid]):
            raise error
        translated = isinstance(request, TranslationRequest)
        heard = transcript(prediction.output, files, translated=translated)
        if asks_words(request):
            heard = by_words(heard)
        return reply_of(request, heard)

    def _place(self, schema: Schema) -> Input:
        places = places_for(schema, "audio", (*self.renamed("file"), *self.places))
        if not places:
            raise Unsupported("This model takes no recording.", param="file")
        return places[0]


def _address(request: HeardRequest) -> str:
    upload, url = request.file.upload, request.file.url
    if upload is None:
        if url is None or not is_address(url):
            message = "Invalid 'file': expected a file, or an https: or data: address."
            raise InvalidRequest(message, param="file", code="invalid_value")
        return url
    if not upload.content or (seconds_of(upload.content) or _SHORTEST) < _SHORTEST:
        message = f"Audio file is too short. Minimum audio length is {_SHORTEST} seconds."
        raise InvalidRequest(message, param="file", code="audio_too_short")
    if not upload.content_type.startswith(_HEARABLE):
        message = f"Invalid file format: this is no recording ('{upload.content_type[:100]}')."
        raise InvalidRequest(message, param="file", code="unsupported_format")
    return upload.address


def into_english(schema: Schema) -> Inputs:
    """The input that asks for English. Raises Unsupported."""
    switch = schema.get("translate", "translate_to_english", "translation")
    if switch and switch.kind == "boolean":
        return {switch.name: True}
    choice = schema.get("task", "mode")
    word = next((each for each in choice.enum if "translat" in str(each).lower()), None) if choice else None
    if choice and word:
        return {choice.name: word}
    message = "This model does not translate: use /v1/audio/transcriptions, or another model."
    raise Unsupported(message, param="model", code="unsupported_model")


def _refuse_untold(request: HeardRequest, schema: Schema) -> None:
    """Raises Unsupported for what this model cannot tell, before it is asked."""
    if isinstance(request, TranscriptionRequest):
        _refuse_extras(request, schema)
    if request.form not in _TIMED:
        return
    if not _tells_times(schema):
        _refuse(f"'{request.form}': this model does not tell when words are said; use json or text", "response_format")
    if isinstance(request, TranslationRequest) and request.form in SUBTITLED and "translation" in schema.answers:
        _refuse(f"'{request.form}': this model tells no times of a translation; use json or text", "response_format")


def _refuse_extras(request: TranscriptionRequest, schema: Schema) -> None:
    if request.include:
        _refuse("'logprobs': no model of Replicate's tells them", "include")
    for name in ("known_speaker_names", "known_speaker_references"):
        if getattr(request, name):
            _refuse("known speakers: this model takes none", name)
    if asks_words(request) and not (_word_times(schema) or "words" in schema.answers or _silent(schema)):
        _refuse("'word': this model does not tell when single words are said", "timestamp_granularities")
    if request.form == DIARIZED and not (schema.get(*_SPEAKERS, *_COUNTED) or "speaker" in schema.answers):
        _refuse(f"'{DIARIZED}': this model does not tell speakers apart", "response_format")


def _refuse(what: str, param: str) -> NoReturn:
    raise Unsupported(f"Unsupported {what}.", param=param)


def _tells_times(schema: Schema) -> bool:
    shown = bool(schema.answers & TELLING)
    return shown or bool(_word_times(schema) or schema.get(*_CHOICES, *_STRETCHED)) or _silent(schema)


def _silent(schema: Schema) -> bool:
    """Neither the schema nor an example shows what the model answers."""
    return schema.output in ("object", "any") and not schema.answers and not schema.answered


def _telling(request: HeardRequest, schema: Schema) -> Inputs:
    """The inputs that make the model tell what the answer's format needs."""
    told: Inputs = {}
    if asks_words(request):
        told |= _word_times(schema)
    elif request.form in _TIMED:
        told |= {each.name: True for name in _STRETCHED if (each := schema.get(name)) and each.kind == "boolean"}
    speaking = schema.get(*_SPEAKERS)
    if request.form == DIARIZED and speaking and speaking.kind == "boolean":
        told[speaking.name] = True
    return told


def _word_times(schema: Schema) -> Inputs:
    switch = schema.get(*_SWITCHES)
    if switch and switch.kind == "boolean":
        return {switch.name: True}
    for choice in filter(None, map(schema.get, _CHOICES)):
        if word := next((each for each in choice.enum if "word" in str(each).lower()), None):
            return {choice.name: word}
    return {}
