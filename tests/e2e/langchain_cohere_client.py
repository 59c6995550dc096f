"""LangChain's client of Cohere, which wants another version of Cohere's SDK than the suite has, so it runs in a venv of its own: `test_rerank.py` starts it.

    langchain_cohere_client.py URL TOKEN QUERY

Prints one line of JSON: the ranks of two documents, and two vectors."""

import json
import sys

from langchain_cohere import CohereEmbeddings, CohereRerank

url, token, query = sys.argv[1:]
rerank = CohereRerank(model="cohere", cohere_api_key=token, base_url=url, top_n=2)
ranks = rerank.rerank(["the weather in Rome", "the weather in Paris", "trains"], query)
embeddings = CohereEmbeddings(model="cohere-embed", cohere_api_key=token, base_url=url, user_agent="e2e")
print(json.dumps({"ranks": ranks, "vectors": embeddings.embed_documents([query, "another"])}))
