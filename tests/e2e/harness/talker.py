"""A provider of OpenAI's Realtime API that does as it is told, on Python's `websockets`: for addresses, bills and goodbyes. What a conversation is, aimock says."""

import json
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

# What a response uses: <https://platform.openai.com/docs/api-reference/realtime-server-events/response/done>.
USAGE = {
    "total_tokens": 120,
    "input_tokens": 100,
    "output_tokens": 20,
    "input_token_details": {"text_tokens": 100, "audio_tokens": 0, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 20, "audio_tokens": 0},
}


class Talker:
    """Answers `response.create` with a response; `test.close` and `test.break` end the session."""

    def __init__(self):
        self.paths: list[str] = []
        self.headers: list = []
        self.events: list[str] = []
        self.goodbyes: list = []
        self._server = serve(self._session, "127.0.0.1", 0)
        self.address = "{}:{}".format(*self._server.socket.getsockname()[:2])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()

    def _session(self, socket):
        self.paths.append(socket.request.path)
        self.headers.append(socket.request.headers)
        self._say(socket, "session.created", session={"id": "sess_1", "type": "realtime", "object": "realtime.session"})
        try:
            for text in socket:
                self._answer(socket, json.loads(text)["type"])
        except ConnectionClosed:
            pass
        self.goodbyes.append(socket.close_code)

    def _answer(self, socket, kind: str):
        self.events.append(kind)
        if kind == "response.create":
            response = {"id": f"resp_{len(self.events)}", "object": "realtime.response", "status": "in_progress", "output": []}
            self._say(socket, "response.created", response=response)
            self._say(socket, "response.done", response=response | {"status": "completed", "usage": USAGE})
        elif kind == "test.close":
            socket.close(4001, "enough")
        elif kind == "test.break":
            socket.socket.shutdown(2)

    @staticmethod
    def _say(socket, kind: str, **fields):
        socket.send(json.dumps({"type": kind, "event_id": f"event_{kind}"} | fields))
