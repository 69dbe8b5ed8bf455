"""An agent with two tools, in OpenAI's Agents SDK. Needs `pip install openai-agents`."""

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

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
    name="Clerk",
    instructions="Answer with the help of your tools.",
    tools=[get_weather, add],
    model=OpenAIChatCompletionsModel(model="llama-3-70b", openai_client=AsyncOpenAI()),
)
print(Runner.run_sync(agent, "What is the weather in Lisbon? And please add 2 and 3.5").final_output)
