"""Search by meaning in LangChain. Needs `pip install langchain-openai`; prints the texts, the nearest first."""

from langchain_openai import OpenAIEmbeddings

# Token ids, which LangChain sends by default, mean something to OpenAI's models only.
model = OpenAIEmbeddings(model="multilingual-e5", check_embedding_ctx_length=False)

texts = ["the heron stands in the reeds", "tax returns are due in May", "a heron in the water"]
vectors = model.embed_documents(texts)
wanted = model.embed_query("where does the heron stand")


def likeness(vector: list[float]) -> float:
    return sum(one * other for one, other in zip(vector, wanted, strict=True))


for _, text in sorted(zip(map(likeness, vectors), texts, strict=True), reverse=True):
    print(text)
