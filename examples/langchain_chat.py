"""A Replicate model in LangChain: whole, then streamed. Needs `pip install langchain-openai`."""

from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="llama-3-70b")  # reads OPENAI_BASE_URL and OPENAI_API_KEY
print(model.invoke("What is a gateway?").content)

for chunk in model.stream("Write a haiku about gateways."):
    print(chunk.content, end="", flush=True)
print()
