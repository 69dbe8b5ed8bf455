"""Embeddings: many texts or pictures in, in as few predictions as the model allows; a vector for each out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import field

from adapters.base import Adapter, Prepared, Stamp, Table
from adapters.errors import PredictionFailed, Unsupported
from adapters.failures import failure
from adapters.fanout import Share, parted
from adapters.pictures import places_for
from adapters.refusals import refuse_other_kinds
from adapters.schema import Input, Schema
from adapters.tables import Draft, into, substituted
from adapters.texts import Form, Place, place_for
from adapters.usage import read
from adapters.vectors import Vector, in_base64, vectors_of
from adapters.wire.embeddings import Embedding, EmbeddingRequest, EmbeddingResponse, EmbeddingUsage, Item
from adapters.wire.replicate import Inputs, Prediction

_LETTERS = 200_000
_DIMENSIONS = (
    "dimensions", "embedding_dim", "embedding_dims", "embedding_dimension", "embedding_dimensions",
    "output_dimensionality", "output_dimension", "output_dimensions", "truncate_dim", "matryoshka_dim", "dim",
)  # fmt: skip
_AS_FILE = "convert_to_numpy"
_MODALITIES = ("modality", "input_type", "mode", "type")
_SHOWN = ("image", "vision", "picture")

STANDARD: Table = {"dimensions": into(*_DIMENSIONS), "user": into("user", "user_id")}
"""Parameters that become inputs where the model has one for them; `docs/models.md` says what becomes of the rest."""


class EmbeddingAdapter(Adapter, frozen=True, kw_only=True):
    """Translates embeddings for a family.

    `texts` names the input for texts and `form` how it holds several, where the schema does not show it; `together`
    is how many a prediction is given at most.
    """

    # OpenAI's vectors are of length one, and clients rely on it.
    defaults: Mapping[str, Any] = field(default_factory=lambda: {"normalize_embeddings": True, "normalize": True})
    texts: tuple[str, ...] = ()
    form: Form | None = None
    together: int = 128

    def prepare(self, request: EmbeddingRequest, schema: Schema) -> Prepared:
        """The inputs of as few predictions as hold all items. Raises InvalidRequest or Unsupported; nothing was
        spent."""
        schema = substituted(schema, self.instead)
        refuse_other_kinds(schema, "embeddings")
        draft = Draft(self, schema)
        draft.translate({"dimensions": request.dimensions, "user": request.user}, {**STANDARD, **self.table})
        draft.pass_on(request.extra)
        if draft.inputs.get(_AS_FILE) is True:
            raise Unsupported("Vectors in a file are not read here.", param=_AS_FILE)
        self._sized(draft, request, schema)
        return parted(draft, list(self._shared_out(draft, request, schema)), schema)

    def parse(
        self, request: EmbeddingRequest, predictions: Sequence[Prediction], stamp: Stamp, prepared: Prepared
    ) -> EmbeddingResponse:
        """The reply, in the order of the items. Raises what a failed prediction means, and PredictionFailed where
        vectors are missing."""
        found: dict[int, Vector] = {}
        for prediction, items in zip(predictions, prepared.reading.places, strict=True):
            if error := failure(prediction, [*request.texts, *prepared.unsaid]):
                raise error
            found |= zip(items, self._vectors(request, prediction, len(items)), strict=True)
        tokens = sum(
            _tokens(prediction, [request.input[item].text or "" for item in items])
            for prediction, items in zip(predictions, prepared.reading.places, strict=True)
        )
        encoded = in_base64 if request.encoding_format == "base64" else _plain
        return EmbeddingResponse(
            data=tuple(Embedding(index=item, embedding=encoded(found[item])) for item in sorted(found)),
            model=stamp.model,
            usage=EmbeddingUsage(tokens, tokens),
        )

    def _sized(self, draft: Draft, request: EmbeddingRequest, schema: Schema) -> None:
        """Vectors as long as asked, or none: cutting them here would be honest only for models that were trained for
        it."""
        if "dimensions" in draft.adjusted:
            raise Unsupported(f"This model makes no vectors of {request.dimensions} dimensions.", param="dimensions")
        if "dimensions" in draft.ignored and request.dimensions != _length(schema):
            raise Unsupported("This model does not support specifying dimensions.", param="dimensions")
        draft.ignored = [name for name in draft.ignored if name != "dimensions"]

    def _shared_out(self, draft: Draft, request: EmbeddingRequest, schema: Schema) -> Iterator[Share]:
        place = place_for(schema, (*self.renamed("input"), *self.texts), self.form)
        shown = next(iter(places_for(schema, "image", self.renamed("image"))), None)
        items = dict(enumerate(request.input))
        pictures = {item: each.image for item, each in items.items() if each.image is not None and shown}
        lines = {item: _line(each, place, request.named(item)) for item, each in items.items() if item not in pictures}
        if any(items[item].text not in (line, None) for item, line in lines.items()):
            draft.adjusted.append("input")
        if lines and place:
            yield from self._written(lines, place, schema)
        if pictures and shown:
            yield from self._shown(pictures, shown, schema)

    def _written(self, lines: Mapping[int, str], place: Place, schema: Schema) -> Iterator[Share]:
        for items in _batches(lines, place, self.together):
            held = place.holding([lines[item] for item in items])
            yield Share({place.input.name: held, **_modality(schema, ("text",))}, items)

    def _shown(self, pictures: Mapping[int, str], shown: Input, schema: Schema) -> Iterator[Share]:
        most = min(self.together, shown.longest or self.together) if shown.many else 1
        for items in _cut(tuple(pictures), most):
            held = [pictures[item] for item in items]
            yield Share({shown.name: held if shown.many else held[0], **_modality(schema, _SHOWN)}, items)

    def _vectors(self, request: EmbeddingRequest, prediction: Prediction, wanted: int) -> list[Vector]:
        found = vectors_of(prediction.output)
        if len(found) != wanted:
            raise PredictionFailed(f"The model gave {len(found)} vectors for {wanted} inputs.")
        if request.dimensions and any(len(each) != request.dimensions for each in found):
            raise PredictionFailed(f"The model's vectors are not of the {request.dimensions} dimensions asked for.")
        return found


def _batches(texts: Mapping[int, str], place: Place, together: int) -> Iterator[tuple[int, ...]]:
    """Items that one prediction embeds: no more than `together`, and not too long in all."""
    most = min(together, place.input.longest or together) if place.form == "list" else together
    batch: list[int] = []
    letters = 0
    for item, text in texts.items():
        apart = not place.several or (place.form == "separated" and place.separator in text)
        if batch and (apart or len(batch) >= most or letters + len(text) > _LETTERS):
            yield tuple(batch)
            batch, letters = [], 0
        batch.append(item)
        letters += len(text)
    yield tuple(batch)


def _cut(items: tuple[int, ...], most: int) -> Iterator[tuple[int, ...]]:
    return (items[start : start + most] for start in range(0, len(items), most))


def _line(item: Item, place: Place | None, param: str) -> str:
    """A text, or a picture where one could stand, as the model's input for texts carries it."""
    if item.image is not None:
        return _address(item.image, place, param)
    if place is None:
        raise Unsupported('This model embeds pictures, and no texts: send {"image": …}.', param=param)
    return place.fit(item.text or "", param)


def _address(image: str, place: Place | None, param: str) -> str:
    """A picture where a text could stand, for models that read addresses there."""
    if place is None or not place.addresses:
        raise Unsupported("This model embeds no pictures.", param=param)
    if not image.startswith(("https://", "http://")):
        raise Unsupported(
            "This model reads pictures by their addresses only: send a URL that it can reach.",
            param=param,
            code="unsupported_value",
        )
    return image.strip()


def _modality(schema: Schema, words: tuple[str, ...]) -> Inputs:
    """The choice of what goes in, for models that must be told."""
    given = schema.get(*_MODALITIES)
    if given is None or "text" not in given.enum:
        return {}
    return next(({given.name: word} for word in words if word in given.enum), {})


def _length(schema: Schema) -> int | None:
    """How long the vectors of the model's own example are."""
    shown = vectors_of(schema.output_shown)
    return len(shown[0]) if shown else None


def _tokens(prediction: Prediction, texts: Sequence[str]) -> int:
    return read(prediction, lambda: "".join(texts)).input


def _plain(vector: Vector) -> Vector:
    return vector
