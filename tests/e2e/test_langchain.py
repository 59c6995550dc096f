"""LangChain, which sends what people's applications send: ChatOpenAI through every upstream, and its clients of the other dialects the same way.
(Its embeddings: `test_unary.py`.)"""

import json

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
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


def after_a_tool_loop(llm):
    """What a model says to two results, which it asked for at once."""
    model = llm.bind_tools([get_weather])
    messages = [HumanMessage(f"[parallel] {nonce()}")]
    answer = model.invoke(messages)
    assert [call["args"] for call in answer.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]
    messages.append(answer)
    results = ["18 degrees", "21 degrees"]
    messages += [ToolMessage(result, tool_call_id=call["id"]) for call, result in zip(answer.tool_calls, results, strict=True)]
    return model.invoke(messages)


def test_a_tool_loop(llm):
    assert after_a_tool_loop(llm).content == "The tools said: 18 degrees; 21 degrees."


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


def chat_anthropic(gateway, column: str):
    return ChatAnthropic(model=f"via-{column}", base_url=gateway.url, api_key=gateway.token, max_retries=0, timeout=60, max_tokens=4096)


def chat_google(gateway, column: str):
    return ChatGoogleGenerativeAI(model=f"via-{column}", base_url=gateway.url, google_api_key=gateway.token, max_retries=0, timeout=60)


def chat_responses(gateway, column: str):
    return ChatOpenAI(
        model=f"via-{column}", base_url=f"{gateway.url}/v1", api_key=gateway.token, max_retries=0, timeout=60, use_responses_api=True
    )


OTHERS = {"anthropic": chat_anthropic, "google": chat_google, "responses": chat_responses}


@pytest.fixture(params=[(client, column) for client in OTHERS for column in [*COLUMNS, "gemini"]], ids="-".join)
def other(request, gateway):
    client, column = request.param
    if (client, column) == ("responses", "openai-strict"):
        pytest.skip("the scripted OpenAI has no Responses API")
    return OTHERS[client](gateway, column)


class TestOtherDialects:
    """The answer's text, whatever form LangChain keeps it in."""

    def test_invoke(self, other):
        answer = other.invoke([SystemMessage("Be brief."), HumanMessage(nonce())])
        assert answer.text == HELLO
        assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (12, 7)

    def test_stream(self, other):
        whole = None
        for chunk in other.stream(nonce()):
            whole = chunk if whole is None else whole + chunk
        assert whole.text == HELLO
        # LangChain takes the input's tokens from Anthropic's last event, where Anthropic has them, and aimock, which passes as it is, has none.
        passes = isinstance(other, ChatAnthropic) and other.model == "via-anthropic"
        assert whole.usage_metadata["total_tokens"] == (7 if passes else 19)

    def test_a_tool_loop(self, other):
        assert after_a_tool_loop(other).text == "The tools said: 18 degrees; 21 degrees."

    def test_structured_output(self, other):
        assert other.with_structured_output(Report, method="json_schema").invoke(f"[json] {nonce()}") == Report(city="Paris", celsius=21)

    def test_an_image(self, other):
        content = [
            {"type": "text", "text": f"[image] {nonce()}"},
            {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": PNG_BASE64},
        ]
        assert other.invoke([HumanMessage(content)]).text.startswith("I see image/png")
