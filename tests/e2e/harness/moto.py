"""moto, AWS's services by somebody else, on a port that the system chose: `python -m harness.moto` prints one JSON line that says which."""

import json
import sys

from .process import Server, listen_address

# boto3's settings for it.
AWS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}


def start(*, threaded: bool = True) -> tuple[Server, str]:
    """A server of all services, and its URL. Not threaded, it answers one call at a time."""
    command = [sys.executable, "-m", "harness.moto", *([] if threaded else ["one-at-a-time"])]
    server = Server("moto", command, {"PYTHONPATH": sys.path[0]})
    return server, server.wait_for(listen_address)


def _serve(threaded: bool) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=threaded, request_handler=MotoRequestHandler)
    print(json.dumps({"listen": f"http://127.0.0.1:{server.server_port}"}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve("one-at-a-time" not in sys.argv)
