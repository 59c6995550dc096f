"""What stands between the gateway and the world in a drill: connections that can be cut, doors that go dark, services that refuse credentials."""

import json
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Relay:
    """TCP to another server. `cut` ends what is open, as a peer does that has waited for too long; while `dark` it takes connections and says nothing."""

    def __init__(self, to: str):
        self._to = (urlsplit(to).hostname, urlsplit(to).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.dark = False
        self.connections = 0
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            far = socket.create_connection(self._to)
            self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                # What is said in the dark is lost.
                if not self.dark:
                    sink.sendall(data)
        for end in (source, sink):
            self._open.discard(end)
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut(self) -> None:
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self._listener.close()
        self.cut()


class Silent:
    """Takes connections and never answers."""

    def __init__(self):
        # The backlog takes them.
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def stop(self) -> None:
        self._listener.close()


class Service:
    """An HTTP server whose answers a test decides: `answer(method, path, headers, body)` gives a status, headers and a JSON value."""

    def __init__(self, answer):
        service = self
        self.asked: list[tuple[str, dict]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                service.asked.append((self.path, headers))
                status, extra, value = service.answer(self.command, self.path, headers, body)
                data = json.dumps(value).encode()
                self.send_response(status)
                for name, text in ({"content-type": "application/json"} | extra).items():
                    self.send_header(name, text)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = _serve

            def log_message(self, *_):
                pass

        self.answer = answer
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


EXPIRED = "The security token included in the request is expired"


def expired(_method: str, path: str, headers: dict, _body: bytes):
    """What AWS says to a signature of expired credentials, in the form of the service that was asked."""
    if path.startswith("/model/"):
        return 403, {"x-amzn-errortype": "ExpiredTokenException:http://internal.amazon.com/coral/com.amazon.coral.service/"}, {"message": EXPIRED}
    if headers.get("x-amz-target", "").startswith("DynamoDB_"):
        return 400, {"content-type": "application/x-amz-json-1.0"}, {"__type": "com.amazon.coral.service#ExpiredTokenException", "message": EXPIRED}
    return 400, {"content-type": "application/x-amz-json-1.1"}, {"__type": "ExpiredTokenException", "message": EXPIRED}
