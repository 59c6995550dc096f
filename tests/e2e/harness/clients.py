"""One way to ask, two real SDKs behind it: a test states what it asks and reads what the SDK gives back."""

import base64
import json
import struct
import zlib
from dataclasses import dataclass, field

import anthropic
import openai

HELLO = "Hello from upstream: Grüße, 世界 👋."
THOUGHT = "The user greets me; I greet back."
SIGNATURE = "c2lnbmF0dXJlLW9mLXRoZS1mYWtl"

WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
REPORT = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
    "required": ["city", "celsius"],
    "additionalProperties": False,
}


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\x10\x20\x30\x40")) + chunk(b"IEND", b"")


PNG = _png()
PNG_BASE64 = base64.b64encode(PNG).decode()


@dataclass
class Ask:
    """A request, dialect apart."""

    prompt: str
    system: str | None = None
    tools: list[dict] = field(default_factory=list)
    image: bool = False
    schema: dict | None = None
    thinking: bool = False
    max_tokens: int = 4096
    # Turns after the prompt, as the client's own `replay` made them.
    then: list[dict] = field(default_factory=list)


@dataclass
class ToolCall:
    id: str
    name: str
    input: dict


@dataclass
class Reply:
    """What the SDK returned."""

    text: str
    stop: str
    input_tokens: int
    output_tokens: int
    tools: list[ToolCall]
    thinking: list[tuple[str, str | None]]
    headers: dict
    raw: object


class Client:
    """What both have in common. Errors are the SDK's own; their classes have the same names."""

    name: str
    sdk: object

    def ask(self, model: str, ask: Ask, mode: str, **options) -> Reply:
        return self.stream(model, ask, **options) if mode == "stream" else self.plain(model, ask, **options)


class Chat(Client):
    """The OpenAI SDK."""

    name = "chat"
    errors = openai
    STOPS = {"end": "stop", "tool": "tool_calls", "max": "length", "refusal": "content_filter"}

    def __init__(self, base: str, token: str, timeout_s: float = 60):
        self.sdk = openai.OpenAI(base_url=f"{base}/v1", api_key=token, max_retries=0, timeout=timeout_s)

    def body(self, model: str, ask: Ask) -> dict:
        content: object = ask.prompt
        if ask.image:
            url = f"data:image/png;base64,{PNG_BASE64}"
            content = [{"type": "text", "text": ask.prompt}, {"type": "image_url", "image_url": {"url": url}}]
        messages = [{"role": "user", "content": content}] + ask.then
        if ask.system:
            messages.insert(0, {"role": "system", "content": ask.system})
        body = {"model": model, "messages": messages, "max_completion_tokens": ask.max_tokens}
        if ask.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": t["name"], "description": t["description"], "parameters": t["schema"]}}
                for t in ask.tools
            ]
        if ask.schema:
            schema = {"name": "report", "schema": ask.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if ask.thinking:
            body["reasoning_effort"] = "low"
        return body

    def plain(self, model: str, ask: Ask, **options) -> Reply:
        answer = self.sdk.chat.completions.with_raw_response.create(**self.body(model, ask), **options)
        return self._reply(answer.parse(), dict(answer.headers))

    def stream(self, model: str, ask: Ask, **options) -> Reply:
        body = self.body(model, ask)
        body["stream_options"] = {"include_usage": True}
        with self.sdk.chat.completions.stream(**body, **options) as stream:
            for _ in stream:
                pass
            return self._reply(stream.get_final_completion(), dict(stream._response.headers))

    def events(self, model: str, ask: Ask, **options):
        """The raw stream, chunk by chunk."""
        return self.sdk.chat.completions.create(**self.body(model, ask), stream=True, **options)

    @staticmethod
    def text_of(event) -> str:
        return (event.choices[0].delta.content or "") if event.choices else ""

    def replay(self, reply: Reply, results: list[str]) -> list[dict]:
        """The next turns: the model's, as the SDK gave it, and the tools' results."""
        message = reply.raw.choices[0].message
        calls = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.input)}} for c in reply.tools]
        turn = {"role": "assistant", "content": message.content, "tool_calls": calls}
        return [turn] + [
            {"role": "tool", "tool_call_id": call.id, "content": result} for call, result in zip(reply.tools, results, strict=True)
        ]

    def _reply(self, completion, headers: dict) -> Reply:
        assert completion.model, "every answer names its model"
        (choice,) = completion.choices
        message = choice.message
        thought = getattr(message, "reasoning_content", None)
        return Reply(
            text=message.content or "",
            stop=choice.finish_reason,
            # A provider that refuses `stream_options` says nothing of usage in its streams.
            input_tokens=completion.usage and completion.usage.prompt_tokens,
            output_tokens=completion.usage and completion.usage.completion_tokens,
            tools=[ToolCall(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or []],
            thinking=[(thought, None)] if thought else [],
            headers=headers,
            raw=completion,
        )


class Messages(Client):
    """The Anthropic SDK. The token goes as `x-api-key`, which is how that SDK sends its key."""

    name = "messages"
    errors = anthropic
    STOPS = {"end": "end_turn", "tool": "tool_use", "max": "max_tokens", "refusal": "refusal"}

    def __init__(self, base: str, token: str, timeout_s: float = 60):
        self.sdk = anthropic.Anthropic(base_url=base, api_key=token, max_retries=0, timeout=timeout_s)

    def body(self, model: str, ask: Ask) -> dict:
        content: object = ask.prompt
        if ask.image:
            source = {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}
            content = [{"type": "image", "source": source}, {"type": "text", "text": ask.prompt}]
        body = {"model": model, "max_tokens": ask.max_tokens, "messages": [{"role": "user", "content": content}] + ask.then}
        if ask.system:
            body["system"] = ask.system
        if ask.tools:
            body["tools"] = [
                {"name": t["name"], "description": t["description"], "input_schema": t["schema"]} for t in ask.tools
            ]
        if ask.schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
        if ask.thinking:
            body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        return body

    def plain(self, model: str, ask: Ask, **options) -> Reply:
        answer = self.sdk.messages.with_raw_response.create(**self.body(model, ask), **options)
        return self._reply(answer.parse(), dict(answer.headers))

    def stream(self, model: str, ask: Ask, **options) -> Reply:
        with self.sdk.messages.stream(**self.body(model, ask), **options) as stream:
            for _ in stream:
                pass
            return self._reply(stream.get_final_message(), dict(stream.response.headers))

    def events(self, model: str, ask: Ask, **options):
        """The raw stream, event by event."""
        return self.sdk.messages.create(**self.body(model, ask), stream=True, **options)

    @staticmethod
    def text_of(event) -> str:
        return getattr(event.delta, "text", "") if event.type == "content_block_delta" else ""

    def replay(self, reply: Reply, results: list[str]) -> list[dict]:
        turn = {"role": "assistant", "content": [block.to_dict() for block in reply.raw.content]}
        for block in turn["content"]:
            # The SDK adds this to what the stream helper parsed; the API does not take it back.
            block.pop("parsed_output", None)
        blocks = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(reply.tools, results, strict=True)
        ]
        return [turn, {"role": "user", "content": blocks}]

    def _reply(self, message, headers: dict) -> Reply:
        assert message.model, "every answer names its model"
        blocks = message.content
        return Reply(
            text="".join(block.text for block in blocks if block.type == "text"),
            stop=message.stop_reason,
            input_tokens=message.usage.input_tokens,
            output_tokens=message.usage.output_tokens,
            tools=[ToolCall(b.id, b.name, b.input) for b in blocks if b.type == "tool_use"],
            thinking=[(b.thinking, b.signature) for b in blocks if b.type == "thinking"],
            headers=headers,
            raw=message,
        )


class Responses(Client):
    """The OpenAI SDK's newer API."""

    name = "responses"
    errors = openai
    STOPS = {"end": "completed", "tool": "completed", "max": "max_output_tokens", "refusal": "content_filter"}

    def __init__(self, base: str, token: str, timeout_s: float = 60):
        self.sdk = openai.OpenAI(base_url=f"{base}/v1", api_key=token, max_retries=0, timeout=timeout_s)

    def body(self, model: str, ask: Ask) -> dict:
        content = [{"type": "input_text", "text": ask.prompt}]
        if ask.image:
            content.append({"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG_BASE64}"})
        body = {"model": model, "input": [{"role": "user", "content": content}] + ask.then, "max_output_tokens": ask.max_tokens, "store": False}
        if ask.system:
            body["instructions"] = ask.system
        if ask.tools:
            body["tools"] = [
                {"type": "function", "name": t["name"], "description": t["description"], "parameters": t["schema"], "strict": False}
                for t in ask.tools
            ]
        if ask.schema:
            body["text"] = {"format": {"type": "json_schema", "name": "report", "schema": ask.schema, "strict": True}}
        if ask.thinking:
            body["reasoning"] = {"effort": "low", "summary": "auto"}
        return body

    def plain(self, model: str, ask: Ask, **options) -> Reply:
        answer = self.sdk.responses.with_raw_response.create(**self.body(model, ask), **options)
        return self._reply(answer.parse(), dict(answer.headers))

    def stream(self, model: str, ask: Ask, **options) -> Reply:
        with self.sdk.responses.stream(**self.body(model, ask), **options) as stream:
            numbers = [event.sequence_number for event in stream]
            # aimock does not number its events.
            assert numbers == sorted(set(numbers)) if any(numbers) else not any(numbers), "events are numbered"
            return self._reply(stream.get_final_response(), dict(stream._response.headers))

    def events(self, model: str, ask: Ask, **options):
        """The raw stream, event by event."""
        return self.sdk.responses.create(**self.body(model, ask), stream=True, **options)

    @staticmethod
    def text_of(event) -> str:
        return event.delta if event.type == "response.output_text.delta" else ""

    def replay(self, reply: Reply, results: list[str]) -> list[dict]:
        """The output as it came, as OpenAI's own examples send it back, and the tools' results."""
        items = [item.to_dict() for item in reply.raw.output]
        for item in items:
            # The SDK adds these to what the stream helper parsed; the API does not take them back.
            item.pop("parsed_arguments", None)
            for part in item.get("content") or []:
                part.pop("parsed", None)
        return items + [
            {"type": "function_call_output", "call_id": call.id, "output": result}
            for call, result in zip(reply.tools, results, strict=True)
        ]

    def _reply(self, response, headers: dict) -> Reply:
        assert response.model, "every answer names its model"
        calls = [item for item in response.output if item.type == "function_call"]
        thoughts = [item for item in response.output if item.type == "reasoning"]
        text_of = lambda item: "".join(part.text for part in [*item.summary, *(item.content or [])])  # noqa: E731
        return Reply(
            text=response.output_text,
            stop=response.incomplete_details.reason if response.incomplete_details else response.status,
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
            tools=[ToolCall(call.call_id, call.name, json.loads(call.arguments)) for call in calls],
            thinking=[(text_of(item), item.encrypted_content) for item in thoughts],
            headers=headers,
            raw=response,
        )


CLIENTS = {"chat": Chat, "messages": Messages, "responses": Responses}
