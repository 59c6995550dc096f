"""The ways in that people configure: base URLs without `/v1`, OpenAI's SDK for Azure, pages in browsers."""

import httpx
import openai
import pytest

from harness.clients import HELLO
from harness.world import nonce

PAGE = "https://app.example"


@pytest.fixture(params=["", "/openai"])
def unversioned(request, gateway):
    return openai.OpenAI(base_url=gateway.url + request.param, api_key=gateway.token, max_retries=0)


def test_a_base_url_without_a_version(unversioned):
    said = [{"role": "user", "content": nonce()}]
    assert unversioned.chat.completions.create(model="via-anthropic-strict", messages=said).choices[0].message.content == HELLO
    assert unversioned.responses.create(model="via-anthropic-strict", input=nonce()).output_text == HELLO
    assert "via-openai" in [model.id for model in unversioned.models.list()]
    assert unversioned.models.retrieve("via-openai").id == "via-openai"
    assert unversioned.embeddings.create(model="embed-titan-v2", input="hello").data[0].embedding


def azure(gateway, **options):
    return openai.AzureOpenAI(azure_endpoint=gateway.url, api_version="2024-10-21", api_key=gateway.token, max_retries=0, **options)


def test_the_sdk_for_azure(gateway):
    """It names the deployment by the model, and sends the token as `api-key`."""
    said = [{"role": "user", "content": nonce()}]
    sdk = azure(gateway)
    assert sdk.chat.completions.create(model="via-anthropic-strict", messages=said).choices[0].message.content == HELLO
    chunks = sdk.chat.completions.create(model="via-openai-strict", messages=said, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == HELLO
    assert sdk.embeddings.create(model="embed-titan-v2", input="hello").data[0].embedding


def test_a_deployment_of_the_sdk_for_azure_is_the_model(gateway, world):
    prompt = nonce()
    sdk = azure(gateway, azure_deployment="via-anthropic-strict")
    sdk.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": prompt}])
    assert world.llm.only(prompt)["path"].endswith("/v1/messages")


def test_a_page_that_is_named_may_call_and_read_the_answer(start_gateway):
    """As Claude for Office does, and chats that run in the browser."""
    gateway = start_gateway(cors={"allowOrigins": [PAGE]})
    asked = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    before = httpx.options(f"{gateway.url}/v1/chat/completions", headers=asked)
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == PAGE
    assert before.headers["access-control-allow-methods"] == "POST"
    assert before.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "access-control-allow-credentials" not in before.headers
    body = {"model": "via-openai-strict", "messages": [{"role": "user", "content": nonce()}]}
    for token, status in [(gateway.token, 200), ("wrong", 401)]:
        headers = {"origin": PAGE, "authorization": f"Bearer {token}"}
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", headers=headers, json=body)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)
        assert answer.headers["access-control-expose-headers"] == "*"
        assert answer.headers["vary"] == "origin"


def test_another_page_may_not(start_gateway):
    gateway = start_gateway(cors={"allowOrigins": [PAGE]})
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    before = httpx.options(f"{gateway.url}/v1/chat/completions", headers=asked)
    assert (before.status_code, "access-control-allow-origin" in before.headers) == (405, False)
