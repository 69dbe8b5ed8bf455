"""A response as it begins: what its request said, and nothing else."""

from msgspec import to_builtins

from adapters.base import Stamp
from adapters.wire.responded import Response
from adapters.wire.responses import ResponsesRequest


def begun(request: ResponsesRequest, stamp: Stamp) -> Response:
    """The response, in progress."""
    text, reasoning = request.text, request.reasoning
    form = to_builtins(text.format) if text and text.format else {"type": "text"}
    return Response(
        id=stamp.id,
        created_at=stamp.created,
        status="in_progress",
        background=bool(request.background),
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        max_tool_calls=request.max_tool_calls,
        model=stamp.model,
        parallel_tool_calls=request.parallel_tool_calls is not False,
        previous_response_id=request.previous_response_id,
        prompt_cache_key=request.prompt_cache_key,
        prompt_cache_retention=request.prompt_cache_retention,
        reasoning={"effort": reasoning and reasoning.effort, "summary": reasoning and reasoning.summary},
        safety_identifier=request.safety_identifier,
        store=request.kept,
        temperature=1.0 if request.temperature is None else request.temperature,
        text={
            "format": {name: value for name, value in form.items() if value is not None},
            "verbosity": (text and text.verbosity) or "medium",
        },
        tool_choice=request.tool_choice or "auto",
        tools=tuple({**to_builtins(tool), "strict": tool.strict is not False} for tool in request.tools or ()),
        top_logprobs=request.top_logprobs or 0,
        top_p=1.0 if request.top_p is None else request.top_p,
        truncation=request.truncation or "disabled",
        user=request.user,
        metadata=request.metadata or {},
    )
