"""A model that calls your functions, through OpenAI's client; any text model can. Needs `pip install openai`."""

import json

from openai import OpenAI


def get_weather(city: str) -> str:
    """Stands for a real weather service."""
    return f"It is 21 degrees in {city}."


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

client = OpenAI()  # reads OPENAI_BASE_URL and OPENAI_API_KEY
messages: list = [{"role": "user", "content": "What is the weather in Paris and in Oslo?"}]

while True:
    answer = client.chat.completions.create(model="llama-3-70b", messages=messages, tools=[TOOL]).choices[0].message
    if not answer.tool_calls:
        break
    messages.append(answer)
    for call in answer.tool_calls:
        print(f"calls {call.function.name}({call.function.arguments})")
        result = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

print(answer.content)
