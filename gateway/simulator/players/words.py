"""Text models, and the greeter that every tutorial begins with."""

from collections.abc import Callable

from gateway.simulator.conversation import carried, read
from gateway.simulator.performance import Numbers, Performance, Piece
from gateway.simulator.players.part import Part
from gateway.simulator.records import Counts
from gateway.simulator.settings import TokenCounts
from gateway.simulator.writer import count, tokens, write


def text(part: Part) -> Performance:
    conversation = read(part.inputs)
    pieces, _ = write(conversation, part.inputs, part.name, part.scene)
    told = carried(part.inputs) or " ".join(turn.text for turn in conversation.turns)
    asked = count(told) + count(conversation.system)
    streams = part.version.schema.kind == "tokens"
    return Performance(
        pieces=tuple(map(Piece, pieces)) if streams else (Piece("".join(pieces)),),
        listed=streams,
        streams=streams,
        closing=("",) if streams else (),
        log=_token_lines(part, asked, pieces),
        counts=_token_counts(part, asked, len(pieces)),
    )


def _token_lines(part: Part, asked: int, pieces: list[str]) -> str:
    if part.model.ways.counts != "logs":
        return ""
    lines = (
        f"Input token count: {asked}",
        f"Output token count: {len(pieces)}",
        "- Reasoning tokens: 0",
        f"Total token count: {asked + len(pieces)}",
        "TTFT: 0.22s",
    )
    return "\n".join(lines) + "\n"


def _token_counts(part: Part, asked: int, whole: int) -> Callable[[int], Numbers]:
    kind: Counts | TokenCounts = part.token_counts
    if kind == "record":
        kind = part.model.ways.counts

    def counts(put_out: int) -> Numbers:
        answered = put_out if part.version.schema.kind == "tokens" else whole
        runtime = {"input_token_count": asked, "output_token_count": answered}
        billing = {"token_input_count": asked, "token_output_count": answered}
        return {"runtime": runtime, "billing": billing, "both": runtime | billing}.get(kind, {})

    return counts


def hello(part: Part) -> Performance:
    """Greet."""
    greeting = f"hello {part.inputs.get('text', '')}"
    listed = part.version.schema.kind == "tokens"
    pieces = tuple(map(Piece, tokens(greeting))) if listed else (Piece(greeting),)
    return Performance(pieces=pieces, listed=listed, streams=listed)
