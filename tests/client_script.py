"""Run by an interpreter of its own (tests/test_clients.py): one stock client asks; prints what it saw as JSON.

python client_script.py CLIENT BASE_URL QUESTION        CLIENT: openai, langchain or llamaindex
"""

import json
import sys
from typing import Any


def openai(base_url: str, question: str) -> dict[str, Any]:
    import openai

    client = openai.OpenAI(base_url=base_url, api_key="unused")
    ask: Any = {"model": "rag", "messages": [{"role": "user", "content": question}]}
    message = client.chat.completions.create(**ask).choices[0].message
    notes = [note.url_citation for note in message.annotations]
    cited = [message.content[note.start_index : note.end_index] for note in notes]
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    streamed = [note for delta in deltas for note in getattr(delta, "annotations", None) or []]
    response = client.responses.create(model="rag", input=question)
    part = response.output[-1].content[0]
    events = list(client.responses.create(model="rag", input=question, stream=True))
    try:
        client.chat.completions.create(**ask, tool_choice="required")
        refused = ""
    except openai.BadRequestError as error:
        refused = f"{error.code} {error.param}"
    return {
        "version": openai.__version__,
        "text": message.content,
        "cited": cited,
        "streamed": "".join(delta.content or "" for delta in deltas),
        "streamed_cited": len(streamed),
        "usage": chunks[-1].usage.total_tokens,
        "response": response.output_text,
        "response_cited": [part.text[note.start_index : note.end_index] for note in part.annotations],
        "response_streamed": "".join(e.delta for e in events if e.type == "response.output_text.delta"),
        "response_ended": events[-1].type,
        "models": [model.id for model in client.models.list()],
        "refused": refused,
    }


def langchain(base_url: str, question: str) -> dict[str, Any]:
    import langchain_openai

    responses = langchain_openai.ChatOpenAI(model="rag", base_url=base_url, api_key="unused", use_responses_api=True)
    chat = langchain_openai.ChatOpenAI(model="rag", base_url=base_url, api_key="unused")
    message = responses.invoke(question)
    whole: Any = None
    for chunk in responses.stream(question):
        whole = chunk if whole is None else whole + chunk
    return {
        "text": message.text,
        "cited": [note["title"] for block in message.content_blocks for note in block.get("annotations", [])],
        "usage": message.usage_metadata["total_tokens"],
        "streamed": whole.text,
        "streamed_cited": sum(len(block.get("annotations", [])) for block in whole.content_blocks),
        "chat": chat.invoke(question).content,
        "chat_streamed": "".join(chunk.content for chunk in chat.stream(question)),
    }


def llamaindex(base_url: str, question: str) -> dict[str, Any]:
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike

    llm = OpenAILike(model="rag", api_base=base_url, api_key="unused", is_chat_model=True)
    messages = [ChatMessage(role="user", content=question)]
    return {
        "text": llm.chat(messages).message.content,
        "streamed": "".join(chunk.delta or "" for chunk in llm.stream_chat(messages)),
        "completed": llm.complete(question).text,
    }


if __name__ == "__main__":
    print(json.dumps({"openai": openai, "langchain": langchain, "llamaindex": llamaindex}[sys.argv[1]](*sys.argv[2:])))
