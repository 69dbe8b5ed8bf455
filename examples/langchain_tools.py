"""Tools and structured answers in LangChain. Needs `pip install langchain-openai`."""

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is 21 degrees in {city}."


class Person(BaseModel):
    """Someone."""

    name: str
    age: int


model = ChatOpenAI(model="llama-3-70b")
messages: list = [HumanMessage("What is the weather in Paris?")]
while (answer := model.bind_tools([get_weather]).invoke(messages)).tool_calls:
    results = (ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls)
    messages += [answer, *results]
print(answer.content)

for method in ("function_calling", "json_schema"):
    print(model.with_structured_output(Person, method=method).invoke("My name is Ada and my age is 36."))
