"""A wire between the gateway and a mock: it keeps the raw bodies, because aimock's journal keeps its own normal form of them (no thinking, no signatures)."""

import base64
import http.client
import json
import re
import struct
import zlib
from dataclasses import dataclass

from harness.serving import serve, url_of

TURNS = 10


def signature(turn: int) -> str:
    """What a turn is signed with: of the fake's length, with the two characters in which the alphabets of base64 differ."""
    return base64.b64encode(b"\xfb\xef\xbe\xff\xff\xff" + b"sig-of-turn-%03d" % turn).decode()


@dataclass
class Passed:
    """A request as the gateway sent it."""

    path: str
    headers: dict
    body: bytes
    json: dict
    answer: bytes = b""


class Tap:
    """Listens in front of `upstream`. `answer` makes the answer: by default, what the upstream says."""

    def __init__(self, upstream: str):
        self.host = upstream.removeprefix("http://")
        self.passed: list[Passed] = []
        self._server = serve(self._pass)
        self.url = url_of(self._server)

    def _pass(self, path, headers, body):
        request = Passed(path, dict(headers), body, json.loads(body))
        self.passed.append(request)
        status, answered, answer = self.answer(request)
        request.answer = answer
        ours = ("transfer-encoding", "content-length", "connection", "date", "server")
        return status, [(name, value) for name, value in answered if name.lower() not in ours], answer

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def last(self, word: str) -> Passed:
        return [request for request in self.passed if word.encode() in request.body][-1]

    def encrypted(self, word: str) -> list[str]:
        """The encrypted reasoning that the upstream gave, in order; events repeat it."""
        answers = b"".join(request.answer for request in self.passed if word.encode() in request.body)
        return list(dict.fromkeys(found.decode() for found in re.findall(rb'"encrypted_content": ?"([^"]+)"', answers)))

    def forward(self, request: Passed) -> tuple[int, list, bytes]:
        wire = http.client.HTTPConnection(self.host, timeout=60)
        wire.putrequest("POST", request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name.lower() != "connection":
                wire.putheader(name, value)
        wire.endheaders(request.body)
        answer = wire.getresponse()
        said = answer.status, answer.getheaders(), answer.read()
        wire.close()
        return said

    def answer(self, request: Passed) -> tuple[int, list, bytes]:
        return self.forward(request)


class GeminiTap(Tap):
    """aimock's Gemini signs nothing: its calls are signed here. All else is aimock's."""

    def answer(self, request: Passed) -> tuple[int, list, bytes]:
        status, headers, answer = self.forward(request)
        signed = re.sub(rb'\{"functionCall":\{', lambda _: b'{"thoughtSignature":"%s","functionCall":{' % signature(turn_of(request)).encode(), answer)
        return status, headers, signed


class BedrockTap(Tap):
    """Our fake ends a loop at the first result, and its call has one id and its thinking one signature.

    So each request goes to the fake as it is, which checks the whole history; where that passes, the client gets the
    fake's answer to the first request again, with this turn's number in the id and this turn's signature.
    """

    def __init__(self, upstream: str, fakes_signature: str):
        super().__init__(upstream)
        self.fakes_signature = fakes_signature.encode()

    def answer(self, request: Passed) -> tuple[int, list, bytes]:
        said = self.forward(request)
        turn = turn_of(request)
        if said[0] != 200 or turn > TURNS:
            return said
        word = re.search(rb"KNARZ-[0-9a-f]{12}", request.body).group().decode()
        first = next(one for one in self.passed if word.encode() in one.body)
        status, headers, answer = self.forward(first)
        of_turn = lambda text: text.replace(b"_01fake", b"_%02dfake" % turn).replace(self.fakes_signature, signature(turn).encode())  # noqa: E731
        streamed = any("vnd.amazon.eventstream" in value for name, value in headers if name.lower() == "content-type")
        return status, headers, reframed(answer, of_turn) if streamed else of_turn(answer)


def reframed(stream: bytes, change) -> bytes:
    """An AWS event stream with its payloads changed: lengths and checksums anew."""
    out = b""
    while stream:
        total, head = struct.unpack(">II", stream[:8])
        headers, payload, stream = stream[12 : 12 + head], stream[12 + head : total - 4], stream[total:]
        message = json.loads(payload)
        if "bytes" in message:
            message["bytes"] = base64.b64encode(change(base64.b64decode(message["bytes"]))).decode()
            payload = json.dumps(message).encode()
        else:
            payload = change(payload)
        prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
        prelude += struct.pack(">I", zlib.crc32(prelude))
        frame = prelude + headers + payload
        out += frame + struct.pack(">I", zlib.crc32(frame))
    return out


def turn_of(request: Passed) -> int:
    """The number of the turn that answers this request."""
    return len(history(request)[0]) + 1


def history(request: Passed) -> tuple[list, list, list]:
    """What a body of any dialect holds, in order: the calls' ids, the results with their ids, the signatures."""
    body, calls, results, signatures = request.json, [], [], []
    text = lambda content: content if isinstance(content, str) else "".join(part["text"] for part in content)  # noqa: E731
    for item in body.get("input") or []:
        match item.get("type"):
            case "function_call":
                calls.append(item["call_id"])
            case "function_call_output":
                results.append((item["call_id"], text(item["output"])))
            case "reasoning" if item.get("encrypted_content"):
                signatures.append(item["encrypted_content"])
    for content in body.get("contents") or []:
        for part in content["parts"]:
            if call := part.get("functionCall"):
                calls.append(call.get("id"))
            if result := part.get("functionResponse"):
                results.append((result.get("id"), "".join(result["response"].values())))
            if part.get("thoughtSignature"):
                signatures.append(part["thoughtSignature"])
    for message in body.get("messages") or []:
        calls += [call["id"] for call in message.get("tool_calls") or []]
        if message["role"] == "tool":
            results.append((message["tool_call_id"], text(message["content"])))
        for block in message["content"] if isinstance(message.get("content"), list) else []:
            if "toolUse" in block:
                calls.append(block["toolUse"]["toolUseId"])
            elif "toolResult" in block:
                results.append((block["toolResult"]["toolUseId"], text(block["toolResult"]["content"])))
            elif "reasoningContent" in block:
                signatures.append(block["reasoningContent"]["reasoningText"].get("signature"))
            elif block.get("type") == "tool_use":
                calls.append(block["id"])
            elif block.get("type") == "tool_result":
                results.append((block["tool_use_id"], text(block["content"])))
            elif block.get("type") == "thinking":
                signatures.append(block["signature"])
    return calls, results, signatures
