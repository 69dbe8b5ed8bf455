"""A model that calls your functions, in LlamaIndex. Needs `pip install llama-index-llms-openai-like`."""

import os

from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is 21 degrees in {city}."


model = OpenAILike(
    model="llama-3-70b",
    api_base=os.environ["OPENAI_BASE_URL"],
    api_key=os.environ["OPENAI_API_KEY"],
    is_chat_model=True,
    is_function_calling_model=True,
)
print(model.predict_and_call([FunctionTool.from_defaults(get_weather)], "What is the weather in Paris?"))
