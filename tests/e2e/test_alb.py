"""The ALB of `tests/servers`, with a function of the test's own: what a load balancer refuses, adds, and makes of answers. Read its failures before those of
the suite behind it (`TOLLGATE_E2E_FRONT=alb`)."""

import base64
import contextlib
import json
import threading

import httpx
import pytest

from harness import patient

pytestmark = pytest.mark.native("no gateway runs")

LIMIT = 1 << 20


class Function:
    """Answers each event with what `answer(event)` gives; nothing: it is not answered."""

    def __init__(self, at: dict):
        self.at = at
        self.events: list[dict] = []
        self.answer = lambda event: {"statusCode": 200, "multiValueHeaders": {}, "headers": {}, "body": "ok"}
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        api = httpx.Client(base_url=f"{self.at['runtime']}/2018-06-01/runtime/invocation", timeout=None)
        while True:
            try:
                event = api.get("/next")
                self.events.append(event.json())
                answer = self.answer(self.events[-1])
                where = f"/{event.headers['lambda-runtime-aws-request-id']}"
                if isinstance(answer, Exception):
                    api.post(f"{where}/error", json={"errorType": "Boom", "errorMessage": str(answer)}, headers={"lambda-runtime-function-error-type": "Boom"})
                elif answer is not None:
                    api.post(f"{where}/response", content=answer if isinstance(answer, bytes) else json.dumps(answer))
            except httpx.TransportError:
                return

    @contextlib.contextmanager
    def answering(self, answer):
        before, self.answer = self.answer, answer
        try:
            yield
        finally:
            self.answer = before

    def ask(self, door: str = "albMulti", method: str = "POST", path: str = "/v1/x", **request) -> httpx.Response:
        return patient.request(method, self.at[door] + path, **request)


@pytest.fixture(scope="module")
def function(world):
    return Function(world.start_test_server("runtime-api"))


def is_balancers(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["server"] == "awselb/2.0" and answer.headers["content-type"] == "text/html"


def test_what_no_function_sees(function):
    seen = len(function.events)
    is_balancers(function.ask(content=b"x" * (LIMIT + 1)), 413)
    is_balancers(function.ask(headers={"upgrade": "websocket", "connection": "upgrade"}), 400)
    is_balancers(function.ask(headers={"x-large": "x" * (16 << 10)}), 400)
    is_balancers(function.ask(headers={f"x-{number}": "x" * (15 << 10) for number in range(5)}), 400)
    is_balancers(function.ask(path="/" + "x" * (16 << 10)), 414)
    is_balancers(function.ask(headers={"x-forwarded-for": ", ".join(["10.0.0.1"] * 31)}), 463)
    assert len(function.events) == seen
    assert function.ask(content=b"x" * LIMIT, headers={"content-type": "text/plain"}).text == "ok", "to the byte"


@pytest.mark.parametrize("door", ["alb", "albMulti"])
def test_an_event_in_either_mode(function, door):
    headers = [("content-type", "application/json"), ("x-twice", "a"), ("x-twice", "b"), ("x-forwarded-for", "10.0.0.1"), ("x-forwarded-proto", "http")]
    function.ask(door, path="/v1/a%20b?q=%2F&q=2", headers=headers, content='{"é": 1}'.encode())
    event = function.events[-1]
    multi = door == "albMulti"
    kept = event["multiValueHeaders" if multi else "headers"]
    one = lambda name: kept[name][-1] if multi else kept[name]  # noqa: E731
    assert ("headers" in event, "multiValueHeaders" in event) == (not multi, multi)
    assert kept["x-twice"] == (["a", "b"] if multi else "b")
    assert (event["httpMethod"], event["path"]) == ("POST", "/v1/a%20b")
    assert event["multiValueQueryStringParameters" if multi else "queryStringParameters"] == ({"q": ["%2F", "2"]} if multi else {"q": "2"})
    assert (one("x-forwarded-for"), one("x-forwarded-proto"), one("x-forwarded-port")) == ("10.0.0.1, 203.0.113.7", "https", "443")
    assert (event["body"], event["isBase64Encoded"]) == ('{"é": 1}', False)


@pytest.mark.parametrize(
    ("headers", "encoded"),
    [
        ({"content-type": "application/json"}, False),
        ({"content-type": "application/json", "content-encoding": "gzip"}, True),
        ({"content-type": "application/x-www-form-urlencoded"}, True),
        ({"content-type": "multipart/form-data; boundary=x"}, True),
    ],
)
def test_what_is_not_text_comes_in_base64(function, headers, encoded):
    function.ask(headers=headers, content=b"a=1")
    body = function.events[-1]["body"]
    assert function.events[-1]["isBase64Encoded"] is encoded
    assert (base64.b64decode(body) if encoded else body.encode()) == b"a=1"


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("the function failed"),
        b"not json",
        b"[]",
        {"body": "no status"},
        {"statusCode": "200", "body": "a text"},
        {"statusCode": 200, "body": {"an": "object"}},
        {"statusCode": 200, "multiValueHeaders": {"x": "not a list"}},
        {"statusCode": 200, "isBase64Encoded": True, "body": "%%%"},
        {"statusCode": 200, "body": "x" * LIMIT},
        {"statusCode": 200, "multiValueHeaders": {"x": ["y" * (33 << 10)]}},
    ],
    ids=lambda answer: str(answer)[:40],
)
def test_an_answer_that_no_load_balancer_takes_is_a_502(function, answer):
    with function.answering(lambda event: answer):
        is_balancers(function.ask(), 502)


def test_an_answer_is_passed_on_without_what_belongs_to_a_connection(function):
    headers = {"x-twice": ["a", "b"], "connection": ["close"], "transfer-encoding": ["chunked"], "content-length": ["999"], "content-type": ["text/plain"]}
    said = {
        "statusCode": 201, "statusDescription": "201 Created", "multiValueHeaders": headers, "headers": {"x-single": "not read in this mode"},
        "isBase64Encoded": True, "body": base64.b64encode(b"\x00\xff").decode(),
    }
    with function.answering(lambda event: said):
        answer = function.ask()
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (201, b"\x00\xff", "2")
    assert answer.headers.get_list("x-twice") == ["a", "b"]
    assert "x-single" not in answer.headers and "transfer-encoding" not in answer.headers


def test_the_health_check_is_a_get_of_nobody(function):
    assert patient.get(f"{function.at['invoke']}/health").status_code == 200
    event = function.events[-1]
    assert (event["httpMethod"], event["path"], event["body"]) == ("GET", "/", "")
    assert event["multiValueHeaders"] == {"user-agent": ["ELB-HealthChecker/2.0"]}


@pytest.mark.parametrize(("option", "status"), [("--function-timeout-ms", 502), ("--idle-timeout-ms", 504)])
def test_a_function_that_does_not_answer(world, option, status):
    """Its own timeout is a 502, the load balancer's patience a 504."""
    function = Function(world.start_test_server("runtime-api", [option, "300"]))
    function.answer = lambda event: None
    is_balancers(function.ask(), status)
