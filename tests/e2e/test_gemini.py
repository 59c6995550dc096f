"""Gemini's dialect: Google's SDK against every upstream, and the other SDKs against Gemini (aimock's).

The SDK sends the token as `x-goog-api-key`; model and streaming stand in the path.
"""

import base64
import json

import pytest
from google import genai
from google.genai import types
from google.genai.errors import ClientError, ServerError

from harness import patient
from harness.clients import HELLO, PNG, PNG_BASE64, REPORT, THOUGHT, WEATHER, Ask
from harness.config import COLUMNS, GEMINI_ON_AIMOCK
from harness.world import nonce

STOP, CUT = types.FinishReason.STOP, types.FinishReason.MAX_TOKENS


@pytest.fixture(scope="module")
def google(gateway):
    options = types.HttpOptions(base_url=gateway.url, api_version="v1beta", timeout=60_000)
    return genai.Client(api_key=gateway.token, http_options=options)


@pytest.fixture(params=[*COLUMNS, GEMINI_ON_AIMOCK])
def column(request):
    return request.param


def ask(google, model: str, contents, mode: str, **config):
    """The chunks of an answer; a whole one is one chunk."""
    config = types.GenerateContentConfig(max_output_tokens=4096, **config)
    if mode == "plain":
        return [google.models.generate_content(model=model, contents=contents, config=config)]
    return list(google.models.generate_content_stream(model=model, contents=contents, config=config))


def parts_of(chunks) -> list:
    candidates = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
    return [part for candidate in candidates if candidate.content for part in candidate.content.parts or []]


def text_of(chunks) -> str:
    return "".join(part.text or "" for part in parts_of(chunks) if not part.thought)


def calls_of(chunks) -> list:
    return [part.function_call for part in parts_of(chunks) if part.function_call]


def tool() -> types.Tool:
    declaration = types.FunctionDeclaration(name=WEATHER["name"], description=WEATHER["description"], parameters_json_schema=WEATHER["schema"])
    return types.Tool(function_declarations=[declaration])


def test_text(google, column, mode):
    chunks = ask(google, f"via-{column}", nonce(), mode)
    assert text_of(chunks) == HELLO
    last = chunks[-1]
    assert last.candidates[0].finish_reason == STOP
    assert (last.usage_metadata.prompt_token_count, last.usage_metadata.candidates_token_count) == (12, 7)
    headers = chunks[0].sdk_http_response.headers
    assert headers["x-tollgate-provider"] == column
    if column != GEMINI_ON_AIMOCK:
        assert last.model_version and last.response_id


def test_system(google, column, mode):
    chunks = ask(google, f"via-{column}", f"[system] {nonce()}", mode, system_instruction="Speak like a gatekeeper.")
    assert text_of(chunks) == "The system prompt says: Speak like a gatekeeper."


def test_image(google, column, mode, world):
    """The SDK writes bytes in the URL-safe alphabet; every upstream gets the standard one."""
    word = nonce()
    contents = [f"[image] {word}", types.Part.from_bytes(data=PNG, mime_type="image/png")]
    assert text_of(ask(google, f"via-{column}", contents, mode)) == f"I see image/png of {len(PNG)} bytes."
    if column.endswith("-strict"):
        assert PNG_BASE64 in json.dumps(world.llm.last(word)["body"])


def test_tools(google, column, mode):
    """A whole tool loop, with the model's turn as the SDK gave it."""
    turns = [types.Content(role="user", parts=[types.Part(text=f"[tool] {nonce()}")])]
    chunks = ask(google, f"via-{column}", turns, mode, tools=[tool()])
    (call,) = calls_of(chunks)
    assert (call.name, call.args) == ("get_weather", {"city": "Paris"})
    turns.append(types.Content(role="model", parts=parts_of(chunks)))
    response = types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "18 degrees"}))
    turns.append(types.Content(role="user", parts=[response]))
    chunks = ask(google, f"via-{column}", turns, mode, tools=[tool()])
    assert text_of(chunks) == "The tools said: 18 degrees."


def test_parallel_tools_without_ids(google, column, mode):
    """Clients leave the ids out: results are found by the function's name, in order."""
    turns = [types.Content(role="user", parts=[types.Part(text=f"[parallel] {nonce()}")])]
    calls = calls_of(ask(google, f"via-{column}", turns, mode, tools=[tool()]))
    assert [call.args for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    again = [types.Part(function_call=types.FunctionCall(name=call.name, args=call.args)) for call in calls]
    turns.append(types.Content(role="model", parts=again))
    results = zip(calls, ["18 degrees", "21 degrees"], strict=True)
    parts = [types.Part.from_function_response(name=call.name, response={"output": result}) for call, result in results]
    turns.append(types.Content(role="user", parts=parts))
    assert text_of(ask(google, f"via-{column}", turns, mode, tools=[tool()])) == "The tools said: 18 degrees; 21 degrees."


@pytest.mark.parametrize("column", ["anthropic-strict", "bedrock-claude"])
def test_claudes_thinking_survives_a_tool_loop_of_googles_sdk(google, column, mode):
    """Claude refuses a loop without its signed thinking. The SDK carries the signature as bytes."""
    turns = [types.Content(role="user", parts=[types.Part(text=f"[tool] [thinking] {nonce()}")])]
    thinking = types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)
    chunks = ask(google, f"via-{column}", turns, mode, tools=[tool()], thinking_config=thinking)
    parts = parts_of(chunks)
    assert "".join(part.text or "" for part in parts if part.thought) == THOUGHT
    assert any(part.thought_signature for part in parts)
    (call,) = calls_of(chunks)
    turns.append(types.Content(role="model", parts=parts))
    turns.append(types.Content(role="user", parts=[types.Part.from_function_response(name=call.name, response={"output": "18 degrees"})]))
    chunks = ask(google, f"via-{column}", turns, mode, tools=[tool()], thinking_config=thinking)
    assert text_of(chunks) == "The tools said: 18 degrees."
    assert "thinking" not in chunks[0].sdk_http_response.headers.get("x-tollgate-dropped", "")


def test_a_chat_of_the_sdk_calls_functions_by_itself(google, column):
    """The SDK's own loop: it calls the Python function and sends the result."""
    asked = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "18 degrees"

    chat = google.chats.create(model=f"via-{column}", config=types.GenerateContentConfig(tools=[get_weather]))
    assert chat.send_message(f"[tool] {nonce()}").text.startswith("The tools said: ")
    assert asked == ["Paris"]


def test_structured_output(google, column, mode):
    config = {"response_mime_type": "application/json", "response_json_schema": REPORT}
    chunks = ask(google, f"via-{column}", f"[json] {nonce()}", mode, **config)
    assert json.loads(text_of(chunks)) == {"city": "Paris", "celsius": 21}


def test_output_cut_at_the_limit(google, column, mode):
    assert ask(google, f"via-{column}", f"[max] {nonce()}", mode)[-1].candidates[0].finish_reason == CUT


@pytest.mark.parametrize(
    ("marker", "bedrock_marker", "error", "status", "name"),
    [
        ("[error-400]", "[validation]", ClientError, 400, "INVALID_ARGUMENT"),
        ("[error-429]", "[throttle]", ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("[error-500]", "[internal]", ServerError, 502, "INTERNAL"),
    ],
    ids=["400", "429", "500"],
)
def test_errors(google, mode, marker, bedrock_marker, error, status, name):
    for column in COLUMNS:
        prompt = f"{bedrock_marker if column.startswith('bedrock') else marker} {nonce()}"
        with pytest.raises(error) as caught:
            ask(google, f"faults-of-{column}", prompt, mode)
        assert caught.value.status == name, column
        assert caught.value.code == status or status == 502 and caught.value.code >= 500, column
        assert caught.value.message


def test_a_wrong_token_is_the_sdks_own_error(world, gateway):
    options = types.HttpOptions(base_url=gateway.url, api_version="v1beta")
    stranger = genai.Client(api_key=world.issuer.tampered(), http_options=options)
    with pytest.raises(ClientError) as caught:
        stranger.models.generate_content(model="via-openai", contents="Hi")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


def test_a_token_in_the_query_is_refused_by_name(world, gateway):
    url = f"{gateway.url}/v1beta/models/via-openai:generateContent?key={gateway.token}"
    answer = patient.post(url, json={"contents": [{"parts": [{"text": "Hi"}]}]})
    assert answer.status_code == 401
    assert "x-goog-api-key" in answer.json()["error"]["message"]
    assert not any(gateway.token.rsplit(".", 1)[1] in line for line in gateway.server.lines), "it is in no log"


@pytest.mark.parametrize("column", ["openai", "anthropic", GEMINI_ON_AIMOCK])
def test_without_alt_sse_a_stream_is_one_json_array(gateway, column):
    headers = {"x-goog-api-key": gateway.token}
    url = f"{gateway.url}/v1beta/models/via-{column}:streamGenerateContent"
    answer = patient.post(url, headers=headers, json={"contents": [{"parts": [{"text": nonce()}]}]})
    assert answer.headers["content-type"] == "application/json"
    chunks = answer.json()
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(part.get("text", "") for part in parts) == HELLO
    assert len(chunks) > 1 and chunks[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("prefix", ["/v1", "/v1beta", "/v1/projects/p/locations/l/publishers/google"])
def test_every_form_of_the_path_is_served(gateway, prefix):
    headers = {"authorization": f"Bearer {gateway.token}"}
    url = f"{gateway.url}{prefix}/models/via%2Dopenai:generateContent"
    answer = patient.post(url, headers=headers, json={"contents": [{"parts": [{"text": nonce()}]}]})
    assert answer.json()["candidates"][0]["content"]["parts"] == [{"text": HELLO}]


def test_models_are_listed_in_googles_form(google):
    names = [model.name for model in google.models.list()]
    assert "models/via-openai" in names
    assert google.models.get(model="via-openai").name == "models/via-openai"


def test_other_sdks_on_gemini(client, mode, world):
    """The OpenAI and the Anthropic SDK, answered by Gemini: text, a tool loop, thinking."""
    model = f"via-{GEMINI_ON_AIMOCK}"
    reply = client.ask(model, Ask(nonce()), mode)
    assert (reply.text, reply.stop) == (HELLO, client.STOPS["end"])
    assert (reply.input_tokens, reply.output_tokens) == (12, 7)
    loop = Ask(f"[tool] {nonce()}", tools=[WEATHER])
    first = client.ask(model, loop, mode)
    assert [(call.name, call.input) for call in first.tools] == [("get_weather", {"city": "Paris"})]
    assert first.stop == client.STOPS["tool"]
    loop.then = client.replay(first, ["18 degrees"])
    assert client.ask(model, loop, mode).text == "The tools said: 18 degrees."
    thought = client.ask(model, Ask(f"[thinking] {nonce()}", thinking=True), mode)
    assert thought.text == HELLO
    assert [text for text, _ in thought.thinking] == [THOUGHT]


def test_an_image_and_an_error_on_gemini(client, mode):
    model = f"via-{GEMINI_ON_AIMOCK}"
    assert client.ask(model, Ask(f"[image] {nonce()}", image=True), mode).text == f"I see image/png of {len(PNG)} bytes."
    with pytest.raises(client.errors.BadRequestError):
        client.ask(f"faults-of-{GEMINI_ON_AIMOCK}", Ask(f"[error-400] {nonce()}"), mode)
    with pytest.raises(client.errors.RateLimitError):
        client.ask(f"faults-of-{GEMINI_ON_AIMOCK}", Ask(f"[error-429] {nonce()}"), mode)


def test_a_body_of_geminis_goes_to_gemini_as_it_came(google, world):
    """Fields that nobody here has heard of survive: the mock sees the request's own form."""
    word = nonce()
    chunks = ask(google, f"via-{GEMINI_ON_AIMOCK}", word, "plain", safety_settings=[
        types.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_NONE"),
    ])
    assert text_of(chunks) == HELLO
    assert "x-tollgate-dropped" not in chunks[0].sdk_http_response.headers
    assert base64.b64decode(PNG_BASE64) == PNG
