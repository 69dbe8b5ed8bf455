"""Speech: a text in; a recording of it out, in the format asked for where the model can write it."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType, field

from adapters.base import Adapter, Prepared, Reading
from adapters.errors import InvalidRequest, PredictionFailed, Unsupported
from adapters.failures import failure
from adapters.fitting import fitted
from adapters.media import medium_of_address
from adapters.outputs import files_of
from adapters.prompts import carrier_of
from adapters.refusals import refuse_other_kinds
from adapters.schema import Input, Schema
from adapters.sounds import PCM, RATE, REACHED, TYPES, WAV, joined, pcm_of
from adapters.tables import Draft, into, substituted
from adapters.wire.audio import VOICED, Sound, SpeechRequest, SpeechUsage
from adapters.wire.images import ImageFile
from adapters.wire.replicate import Inputs, Prediction

VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip
"""OpenAI's own voices, which no model of Replicate's has."""

TEXTS = ("text", "input_text", "gen_text", "tts_text", "text_input", "prompt", "script", "lyrics")
"""Inputs for words to be spoken."""

_VOICES = (
    "voice", "voice_id", "voice_name", "speaker", "speaker_id", "speaker_name", "history_prompt", "voice_a",
    "voice_preset",
)  # fmt: skip
_SPEEDS = ("speed", "speaking_rate", "speech_rate", "speech_speed", "speed_factor")
_MANNERS = (
    "instructions", "instruct", "instruction", "style_instructions", "style_prompt", "voice_description",
    "description", "style",
)  # fmt: skip
_FORMATS = ("audio_format", "output_format", "format", "file_format", "response_format", "output_type", "codec")
_RATES = ("sample_rate", "sampling_rate", "samplerate")
_CHANNELS = ("channel", "channels", "num_channels")
_ALIKE = {"mp3": ("mp3", "mpeg"), "opus": ("opus", "ogg"), "aac": ("aac", "m4a")}
_LISTED = 30


class SpeechAdapter(Adapter, frozen=True, kw_only=True):
    """Translates speech for a family. `voices` gives OpenAI's names for voices the model's own, the first that it
    has; `texts` names the input for the text where the schema does not show it."""

    voices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: tuple[str, ...] = ()

    def prepare(self, request: SpeechRequest, schema: Schema) -> Prepared:
        """The one prediction's inputs. Raises InvalidRequest, Unsupported or MissingParameter; nothing was spent."""
        schema = substituted(schema, self.instead)
        refuse_other_kinds(schema, "speech")
        draft = Draft(self, schema)
        carrier = self._carrier(schema)
        draft.put("input", {carrier.name: request.input})
        draft.put("response_format", _format(request, schema))
        speed = self._speed(request, schema)
        manners = into(*(name for name in _MANNERS if name != carrier.name))
        table = {"voice": self._voice, "instructions": manners, "speed": into(*_SPEEDS), **self.table}
        draft.translate({"voice": request.voice, "instructions": request.instructions, "speed": speed}, table)
        draft.pass_on(request.extra)
        return draft.prepared([draft.finish()], Reading())

    def files(self, request: SpeechRequest, predictions: Sequence[Prediction], prepared: Prepared) -> list[str]:
        """The recording's addresses; several are its parts. Raises what a failed prediction means."""
        [prediction] = predictions
        if error := failure(prediction, [request.input, *prepared.unsaid]):
            raise error
        found = files_of(prediction.output)
        sounding = [each for each in found if medium_of_address(each) == "audio"]
        if not found:
            raise PredictionFailed("The model made no recording.")
        return sounding or found

    def parse(self, request: SpeechRequest, files: Sequence[ImageFile], prepared: Prepared) -> Sound:
        """The recording, in the format asked for or under the type that it is of. Raises InvalidAnswer."""
        kinds = [each.content_type for each in files]
        whole = joined([each.content or b"" for each in files], kinds[0] if len(set(kinds)) == 1 else "")
        wanted, kind = request.response_format, kinds[0]
        if wanted == "pcm" and kind == WAV:
            return Sound(content=pcm_of(whole), content_type=PCM)
        if wanted == "pcm" and _told_pcm(prepared):
            return Sound(content=whole, content_type=PCM)
        return Sound(content=whole, content_type=kind, adjusted=bool(wanted) and TYPES.get(wanted or "") != kind)

    def _carrier(self, schema: Schema) -> Input:
        names = (*self.renamed("input"), *self.texts, *TEXTS)
        needed = [each for each in map(schema.get, names) if each and each.text]
        found = next((each for each in needed if not each.settled), None) or next(iter(needed), carrier_of(schema))
        if found is None:
            raise Unsupported("This model takes no text to speak.", param="input")
        return found

    def _speed(self, request: SpeechRequest, schema: Schema) -> float | None:
        if schema.get(*self.renamed("speed"), *_SPEEDS):
            return request.speed
        if request.speed in (None, 1):
            return None
        raise Unsupported("This model speaks at its own speed.", param="speed")

    def _voice(self, value: Any, schema: Schema) -> Inputs:
        if not isinstance(value, str):
            raise Unsupported("Custom voices are not known here: name one of the model's own.", param="voice")
        given = next((each for each in map(schema.get, _VOICES) if each and not each.medium), None)
        if given is None:
            return {}
        for word in (value, *self.voices.get(value.lower(), ())):
            if given.enum and (fit := fitted(given, word)) and not fit.adjusted:
                return {given.name: fit.value}
        if not given.enum and (own := self.voices.get(value.lower())):
            return {given.name: own[0]}
        if not given.enum and value.lower() not in VOICES:
            return {given.name: value}
        raise _unknown_voice(value, given)


def usage_of(predictions: Sequence[Prediction]) -> SpeechUsage | UnsetType:
    """The tokens that Replicate counted; absent where it counted none."""
    metrics = [each.metrics for each in predictions if each.metrics]
    read = sum(each.input_tokens or 0 for each in metrics)
    made = sum(each.output_tokens or 0 for each in metrics)
    if not read and not made:
        return UNSET
    return SpeechUsage(input_tokens=read, output_tokens=made, total_tokens=read + made)


def _unknown_voice(value: str, given: Input) -> InvalidRequest:
    if given.enum:
        named = [f"'{word}'" for word in given.enum[:_LISTED]]
        more = len(given.enum) - len(named)
        known = f"Its voices are {', '.join(named)}{f' and {more} more' if more else ''}."
    else:
        shown = given.default if isinstance(given.default, str) else None
        known = f"Name one of its own{f', such as {shown!r}' if shown else ''}."
    message = f"Invalid value: '{value[:60]}'. This model has no such voice. {known}"
    return InvalidRequest(message, param="voice", code="invalid_value")


def _format(request: SpeechRequest, schema: Schema) -> Inputs:
    """The inputs that make the model write what was asked for. Raises Unsupported where it cannot, and we neither."""
    wanted = request.response_format
    given = schema.get(*_FORMATS)
    if given is None or not given.enum:
        _refuse_other_than(schema.ending, wanted)
        return {}
    told = {form: word for form in VOICED if (word := _word(form, given)) is not None}
    if wanted is None:
        return {given.name: told["mp3"]} if "mp3" in told else {}
    form = "wav" if wanted == "pcm" and "pcm" not in told and "wav" in told else wanted
    if form not in told:
        raise _impossible(wanted, [*told, *(["pcm"] if "wav" in told else [])])
    return {given.name: told[form], **(_plain_samples(schema) if wanted == "pcm" else {})}


def _refuse_other_than(ending: str | None, wanted: str | None) -> None:
    possible = REACHED.get(ending, (ending,)) if ending else ()
    if wanted and possible and possible[0] in VOICED and wanted not in possible:
        raise _impossible(wanted, possible)


def _impossible(wanted: str, possible: Sequence[str | None]) -> Unsupported:
    listed = ", ".join(dict.fromkeys(map(str, possible)))
    return Unsupported(f"This model does not write {wanted}; response_format may be {listed}.", param="response_format")


def _word(form: str, given: Input) -> Any:
    """The model's own word for a format; some add the rate to it (`pcm_24000`)."""
    words = {str(word).lower(): word for word in given.enum}
    for name in _ALIKE.get(form, (form,)):
        exact = words.get(f"{name}_{RATE}") if form == "pcm" else None
        found = words.get(name) or exact or next((words[each] for each in words if each.startswith(f"{name}_")), None)
        if found is not None:
            return found
    return None


def _plain_samples(schema: Schema) -> Inputs:
    """OpenAI's `pcm` is of one channel and one rate."""
    told: Inputs = {}
    for names, value in ((_RATES, RATE), (_CHANNELS, "mono"), (_CHANNELS, 1)):
        given = schema.get(*names)
        fit = fitted(given, value) if given else None
        if given and fit and not fit.adjusted and given.name not in told:
            told[given.name] = fit.value
    return told


def _told_pcm(prepared: Prepared) -> bool:
    return any(str(inputs.get(name, "")).lower().startswith("pcm") for inputs in prepared.inputs for name in _FORMATS)
