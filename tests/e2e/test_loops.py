"""Ten turns of a tool loop through the real binary, by each official SDK, to each upstream: what the upstream's last body holds.

`openai`, `anthropic` and `gemini` are aimock, which is not ours (`aimock/a-loop-of-ten.json`: a turn is found by the id of the
result before it, so a wrong id ends the loop). `bedrock-claude` (InvokeModel) and `bedrock-other` (Converse) are our own
frame-exact fake, because aimock's Bedrock gives no signatures; it checks each history, and `harness/tap.py` numbers its
ids and signatures, a new one per turn.

The raw bodies are kept by a wire between gateway and mock. Signatures: aimock gives Claude's and the encrypted reasoning of
Responses; its Gemini gives none, so the wire signs its calls.
"""

import json

import pytest
from google import genai
from google.genai import types

from conftest import Gateway
from harness.clients import SIGNATURE, WEATHER, Ask
from harness.config import Providers, rule
from harness.tap import TURNS, BedrockTap, GeminiTap, Tap, history, signature
from harness.world import nonce

UPSTREAMS = ["openai", "openai-responses", "anthropic", "gemini", "bedrock-claude", "bedrock-other"]
RESULTS = [f"{10 + turn} degrees in city {turn}" for turn in range(1, TURNS + 1)]


@pytest.fixture(scope="module")
def taps(world):
    bedrock = BedrockTap(world.at.bedrock, SIGNATURE)
    taps = {"openai": Tap(world.at.aimock), "openai-responses": Tap(world.at.aimock), "anthropic": Tap(world.at.aimock), "gemini": GeminiTap(world.at.aimock)}
    taps |= {"bedrock-claude": bedrock, "bedrock-other": bedrock}
    yield taps
    for tap in {id(tap): tap for tap in taps.values()}.values():
        tap.stop()


@pytest.fixture(scope="module")
def looped(world, taps):
    """A gateway whose upstreams are behind the wires."""
    def provider(upstream: str) -> dict:
        if upstream == "openai-responses":
            # A model that has no other API: every client's dialect but one is translated to it.
            entry = Providers(world.at).openai(upstream, f"{world.at.aimock}/v1", "gpt-5.1-codex")
        else:
            entry = Providers(world.at).column(upstream, upstream)
        base = world.at.bedrock if upstream.startswith("bedrock") else world.at.aimock
        return entry | {"baseUrl": entry["baseUrl"].replace(base, taps[upstream].url)}

    server = world.start_gateway(world.config(ai={"models": [rule(f"via-{upstream}", provider(upstream)) for upstream in UPSTREAMS]}))
    yield Gateway(world, server)
    server.stop()


class Sdk:
    """The clients of `harness/clients.py`."""

    def __init__(self, gateway: Gateway, name: str, model: str, word: str, mode: str):
        self.client, self.model, self.mode = gateway.client(name), model, mode
        self.request = Ask(f"[ten-calls] [tool] [thinking] {word}", tools=[WEATHER], thinking=True)
        # Only who asks for it gets the encrypted reasoning.
        self.options = {"include": ["reasoning.encrypted_content"]} if name == "responses" else {}

    def turn(self) -> list[str]:
        """Asks; gives the ids of the calls."""
        self.reply = self.client.ask(self.model, self.request, self.mode, **self.options)
        self.text = self.reply.text
        self.dropped = self.reply.headers.get("x-tollgate-dropped", "")
        return [call.id for call in self.reply.tools]

    def answer(self, result: str) -> None:
        turns = self.client.replay(self.reply, [result])
        if self.client.name == "chat":
            # As the SDK gave it, with what the SDK does not know: agents send the message back whole.
            turns[0] = self.reply.raw.choices[0].message.to_dict()
            turns[0].pop("parsed", None)
            for call in turns[0]["tool_calls"]:
                call.pop("index", None)
                call["function"].pop("parsed_arguments", None)
        self.request.then += turns


class Google:
    """Google's SDK."""

    def __init__(self, gateway: Gateway, model: str, word: str, mode: str):
        options = types.HttpOptions(base_url=gateway.url, api_version="v1beta", timeout=60_000)
        self.models, self.model, self.mode = genai.Client(api_key=gateway.token, http_options=options), model, mode
        declaration = types.FunctionDeclaration(name=WEATHER["name"], description=WEATHER["description"], parameters_json_schema=WEATHER["schema"])
        thinking = types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)
        tools = [types.Tool(function_declarations=[declaration])]
        self.config = types.GenerateContentConfig(max_output_tokens=4096, tools=tools, thinking_config=thinking)
        self.turns = [types.Content(role="user", parts=[types.Part(text=f"[ten-calls] [tool] [thinking] {word}")])]

    def turn(self) -> list[str]:
        request = {"model": self.model, "contents": self.turns, "config": self.config}
        models = self.models.models
        chunks = [models.generate_content(**request)] if self.mode == "plain" else list(models.generate_content_stream(**request))
        self.dropped = chunks[0].sdk_http_response.headers.get("x-tollgate-dropped", "")
        contents = [chunk.candidates[0].content for chunk in chunks if chunk.candidates]
        parts = [part for content in contents if content for part in content.parts or []]
        self.turns.append(types.Content(role="model", parts=parts))
        self.calls = [part.function_call for part in parts if part.function_call]
        self.text = "".join(part.text or "" for part in parts if not part.thought)
        return [call.id for call in self.calls]

    def answer(self, result: str) -> None:
        (call,) = self.calls
        response = types.FunctionResponse(id=call.id, name=call.name, response={"output": result})
        self.turns.append(types.Content(role="user", parts=[types.Part(function_response=response)]))


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("name", ["chat", "responses", "messages", "google"])
def test_ten_turns(world, looped, taps, name, upstream, mode):
    word = nonce()
    model = f"via-{upstream}"
    sdk = Google(looped, model, word, mode) if name == "google" else Sdk(looped, name, model, word, mode)
    ids = []
    for result in RESULTS:
        (id,) = sdk.turn()
        ids.append(id)
        sdk.answer(result)
    assert sdk.turn() == [], "the eleventh answer is text"
    assert sdk.text == (f"The tools said: {RESULTS[-1]}." if upstream.startswith("bedrock") else "Ten cities asked.")

    calls, results, signatures = history(taps[upstream].last(word))
    form = {"bedrock-claude": "toolu_bdrk_{:02}fake", "bedrock-other": "tooluse_{:02}fake"}.get(upstream, "call_ten_{:02}")
    assert calls == [form.format(turn) for turn in range(1, TURNS + 1)]
    assert ids == calls
    assert results == list(zip(calls, RESULTS, strict=True))
    signed = [signature(turn) for turn in range(1, TURNS + 1)]
    match upstream:
        case "openai" if name != "responses":
            # Chat Completions, which the others are translated to, signs nothing.
            assert signatures == []
        case "openai" | "openai-responses":
            assert signatures == taps[upstream].encrypted(word)[:TURNS] and len(signatures) == TURNS
        case "bedrock-other":
            # Nova takes no thinking back (docs/fidelity.md); what is left out is reported, each turn's.
            assert signatures == []
            thoughts = [place for place in sdk.dropped.split(", ") if place.startswith("messages[")]
            assert thoughts == [f"messages[{2 * turn - 1}].content[0]" for turn in range(1, TURNS + 1)]
        case "gemini" if name == "google":
            # Google's SDK holds bytes and writes them in the URL-safe alphabet, to Google too; its body goes on as it came.
            assert signatures == [one.replace("+", "-").replace("/", "_") for one in signed]
        case _:
            assert signatures == signed
    if not upstream.startswith("bedrock"):
        # aimock's own journal says the same of the calls.
        messages = world.aimock.last(word)["body"]["messages"]
        assert [call["id"] for message in messages for call in message.get("tool_calls") or []] == calls
        told = [message for message in messages if message["role"] == "tool"]
        assert [message["tool_call_id"] for message in told] == calls
        assert all(result in json.dumps(message["content"]) for message, result in zip(told, RESULTS, strict=True))
