"""Moderations: texts and pictures in, judged by models made for it; OpenAI's categories out, as far as they go."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from msgspec import field

from adapters.base import Adapter, Prepared, Stamp
from adapters.errors import MissingParameter, PredictionFailed, Unsupported
from adapters.failures import failure
from adapters.fanout import Share, parted
from adapters.pictures import places_for
from adapters.prompts import carrier_of
from adapters.refusals import refuse_other_kinds
from adapters.schema import Input, Schema
from adapters.tables import Draft
from adapters.verdicts import SAFE, verdict_of
from adapters.wire.moderations import CATEGORIES, Moderation, ModerationRequest, ModerationResponse, Part
from adapters.wire.replicate import Inputs, Prediction

FLAGGED = 0.5
"""The score from which on something is flagged."""


class ModerationAdapter(Adapter, frozen=True, kw_only=True):
    """Translates moderations for a family of safety models.

    `labels` are the labels that the model gives, each with OpenAI's categories that it means, or with our name for it
    where there is none. `ask` is how a text is put to it; `most` the highest rating of one that rates.
    """

    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ask: str = "{text}"
    most: float | None = None

    def prepare(self, request: ModerationRequest, schema: Schema) -> Prepared:
        """The inputs of a prediction for each verdict, or for each part where the model cannot take them together.
        Raises InvalidRequest or Unsupported; nothing was spent."""
        if not self.labels:
            refuse_other_kinds(schema, "moderations")
        draft = Draft(self, schema)
        draft.pass_on(request.extra)
        return parted(draft, list(self._shared_out(request, schema)), schema)

    def parse(
        self, request: ModerationRequest, predictions: Sequence[Prediction], stamp: Stamp, prepared: Prepared
    ) -> ModerationResponse:
        """The reply. Raises what a failed prediction means, and PredictionFailed for an answer that is no verdict."""
        parts = request.parts
        verdicts: dict[int, list[tuple[Mapping[str, float], frozenset[str]]]] = {}
        for prediction, judged in zip(predictions, prepared.reading.places, strict=True):
            if error := failure(prediction, [*request.texts, *prepared.unsaid]):
                raise error
            types = frozenset("text" if parts[part].text is not None else "image" for part in judged)
            verdicts.setdefault(parts[judged[0]].result, []).append((self._verdict(prediction), types))
        return ModerationResponse(
            id=stamp.id, model=stamp.model, results=tuple(self._result(verdicts[place]) for place in sorted(verdicts))
        )

    def _shared_out(self, request: ModerationRequest, schema: Schema) -> Iterator[Share]:
        words = schema.get(*self.renamed("input")) or carrier_of(schema)
        pictures = places_for(schema, "image", self.renamed("image"))
        for _, group in groupby(enumerate(request.parts), lambda each: each[1].result):
            parts = dict(group)
            _check_places(parts, words, pictures)
            if words and pictures:
                yield Share(self._together(parts, words, pictures), tuple(parts))
            else:
                for number, part in parts.items():
                    yield Share(self._together({number: part}, words, pictures), (number,))

    def _together(self, parts: Mapping[int, Part], words: Input | None, pictures: Sequence[Input]) -> Inputs:
        texts = [part.text for part in parts.values() if part.text is not None]
        images = [part.image for part in parts.values() if part.image is not None]
        inputs: Inputs = {}
        if words and texts:
            asked = self.ask.format(text="\n".join(texts))
            inputs[words.name] = [asked] if words.many else asked
        if images and pictures[0].many:
            return {**inputs, pictures[0].name: images}
        if len(images) > max(1, len(pictures)):
            raise Unsupported(f"This model judges {len(pictures)} pictures at a time.", param="input")
        return {**inputs, **{place.name: image for place, image in zip(pictures, images, strict=False)}}

    def _verdict(self, prediction: Prediction) -> Mapping[str, float]:
        given = verdict_of(prediction.output, self.most)
        if given is None or not all(label in self.labels or label in SAFE for label in given):
            raise PredictionFailed("The model answered with something else than a verdict.")
        return {label: score for label, score in given.items() if label not in SAFE}

    def _result(self, verdicts: Sequence[tuple[Mapping[str, float], frozenset[str]]]) -> Moderation:
        scores, others = dict.fromkeys(CATEGORIES, 0.0), dict[str, float]()
        for given, _ in verdicts:
            for label, score in given.items():
                for meant in self.labels[label]:
                    known = scores if meant in scores else others
                    known[meant] = max(score, known.get(meant, 0.0))
        judged = {meant for labels in self.labels.values() for meant in labels}
        types = tuple(sorted(frozenset().union(*(types for _, types in verdicts)), reverse=True))
        return Moderation(
            flagged=any(score >= FLAGGED for score in (*scores.values(), *others.values())),
            categories={name: score >= FLAGGED for name, score in scores.items()},
            category_scores=scores,
            category_applied_input_types={name: types if name in judged else () for name in CATEGORIES},
            others=others,
        )


def _check_places(parts: Mapping[int, Part], words: Input | None, pictures: Sequence[Input]) -> None:
    """Every part has a place, and the model all that it cannot do without."""
    for number, part in parts.items():
        if part.text is not None and words is None:
            raise Unsupported("This model judges pictures, and no texts.", param=_named(number, part))
        if part.image is not None and not pictures:
            raise Unsupported("This model judges texts, and no pictures.", param=_named(number, part))
    if pictures and not pictures[0].settled and all(part.image is None for part in parts.values()):
        raise MissingParameter("This model judges pictures: send one.", param="input")


def _named(number: int, part: Part) -> str:
    return "input" if number == 0 and part.text is not None else f"input[{number}]"
