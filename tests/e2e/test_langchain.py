"""LangChain's ChatOpenAI, which sends what people's applications send, through every upstream."""

import json

import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from harness.clients import HELLO, PNG_BASE64
from harness.config import COLUMNS
from harness.world import nonce


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"18 degrees in {city}"


class Report(BaseModel):
    """A weather report."""

    city: str
    celsius: int


@pytest.fixture(params=COLUMNS)
def llm(request, gateway):
    return ChatOpenAI(
        model=f"via-{request.param}",
        base_url=f"{gateway.url}/v1",
        api_key=gateway.token,
        max_retries=0,
        timeout=60,
        use_responses_api=False,
        stream_usage=True,
    )


def test_invoke(llm):
    answer = llm.invoke([SystemMessage("Be brief."), HumanMessage(nonce())])
    assert answer.content == HELLO
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (12, 7)
    assert answer.response_metadata["finish_reason"] == "stop"


def test_stream(llm):
    chunks = list(llm.stream(nonce()))
    assert "".join(chunk.content for chunk in chunks) == HELLO
    assert sum(chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata) == 19


def test_a_tool_loop(llm):
    model = llm.bind_tools([get_weather])
    messages = [HumanMessage(f"[parallel] {nonce()}")]
    answer = model.invoke(messages)
    assert [call["args"] for call in answer.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]
    messages.append(answer)
    results = ["18 degrees", "21 degrees"]
    messages += [ToolMessage(result, tool_call_id=call["id"]) for call, result in zip(answer.tool_calls, results, strict=True)]
    assert model.invoke(messages).content == "The tools said: 18 degrees; 21 degrees."


def test_streamed_tool_calls(llm):
    whole = None
    for chunk in llm.bind_tools([get_weather]).stream(f"[parallel] {nonce()}"):
        whole = chunk if whole is None else whole + chunk
    assert [call["args"] for call in whole.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(llm, method):
    """Both of LangChain's ways: a response format, and a tool that the model is forced to call."""
    report = llm.with_structured_output(Report, method=method).invoke(f"[json] {nonce()}")
    assert report == Report(city="Paris", celsius=21)


def test_an_image(llm):
    content = [
        {"type": "text", "text": f"[image] {nonce()}"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_BASE64}"}},
    ]
    assert json.dumps(llm.invoke([HumanMessage(content)]).content).startswith('"I see image/png')
