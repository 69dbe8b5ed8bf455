"""An agent with two tools over /v1/responses, streamed, in OpenAI's Agents SDK. Needs `pip install openai-agents`."""

import asyncio

from agents import Agent, Runner, function_tool, set_tracing_disabled
from openai.types.responses import ResponseTextDeltaEvent

set_tracing_disabled(True)  # traces would go to OpenAI


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is 21 degrees in {city}."


@function_tool
def add(a: float, b: float) -> str:
    """The sum of two numbers."""
    return f"The sum is {a + b:g}."


agent = Agent(
    name="Clerk", instructions="Answer with the help of your tools.", tools=[get_weather, add], model="llama-3-70b"
)


async def main() -> None:
    running = Runner.run_streamed(agent, "What is the weather in Lisbon? And please add 2 and 3.5")
    async for event in running.stream_events():
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
            print(event.data.delta, end="", flush=True)
    print()


asyncio.run(main())
