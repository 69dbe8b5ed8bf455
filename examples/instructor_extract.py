"""Facts out of words, as a checked Pydantic object, with instructor. Needs `pip install instructor`."""

import instructor
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


client = instructor.from_provider("openai/llama-3-70b")  # reads OPENAI_BASE_URL and OPENAI_API_KEY
told = [{"role": "user", "content": "My name is Ada and my age is 36."}]
for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
    client.mode = mode
    person = client.create(response_model=Person, messages=told)
    print(person.name, person.age)
