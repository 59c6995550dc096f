"""Tries a deployment from outside, as a client would: health, token, both APIs, both as streams, 401, 429. `make smoke` runs it.

STACK           takes the rest from this CloudFormation stack (needs AWS credentials; AWS_REGION, else samconfig.toml's), or:
URL             the gateway
TOKEN_URL       where tokens are issued
CLIENT_ID, CLIENT_SECRET
MODEL           the model to ask; the first that the gateway lists
LIMIT_MODEL     the model whose limit is tried; demo-budget where there is one (the local run), else MODEL
LIMIT_REQUESTS  at most so many requests until a 429 has to come; 220: two minutes of the tier "standard". 0: not tried
"""

import concurrent.futures
import json
import os
import pathlib
import sys
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request

PROMPT = [{"role": "user", "content": "Answer with one word: hello."}]


class Failed(Exception):
    """A check that did not hold, for a person."""


def from_stack(name):
    """What a stack's outputs and its user pool say: the first of its clients."""
    import boto3
    import botocore.exceptions

    parameters = tomllib.loads(pathlib.Path(__file__).with_name("samconfig.toml").read_text())["default"]["global"]["parameters"]
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or parameters["region"])
    try:
        (stack,) = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        client_id = outputs["ClientIds"].split()[0].split("=")[1]
        client = session.client("cognito-idp").describe_user_pool_client(UserPoolId=outputs["UserPoolId"], ClientId=client_id)
    except botocore.exceptions.BotoCoreError as error:
        raise Failed(f"the stack {name} in {session.region_name}: {error}") from None
    except botocore.exceptions.ClientError as error:
        raise Failed(f"the stack {name} in {session.region_name}: {error.response['Error']['Message']}") from None
    secret = client["UserPoolClient"]["ClientSecret"]
    return {"URL": outputs["GatewayUrl"], "TOKEN_URL": outputs["TokenEndpoint"], "CLIENT_ID": client_id, "CLIENT_SECRET": secret}


def settings():
    given = {name: value for name, value in os.environ.items() if value}
    if "STACK" in given:
        given = from_stack(given["STACK"]) | given
    missing = [name for name in ("URL", "TOKEN_URL", "CLIENT_ID", "CLIENT_SECRET") if name not in given]
    if missing:
        raise Failed(f"{', '.join(missing)}: not given; make smoke URL=... TOKEN_URL=... CLIENT_ID=... CLIENT_SECRET=..., or STACK=...")
    return given


class Gateway:
    """A client of the gateway, and the token that it sends."""

    def __init__(self, url):
        self.url = url.rstrip("/")
        self.token = None

    def open(self, path, body=None, headers=()):
        """The answer, whatever its status."""
        headers = {"user-agent": "tollgate-smoke", "content-type": "application/json"} | dict(headers)
        if self.token and "authorization" not in headers and "x-api-key" not in headers:
            headers["authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            return urllib.request.urlopen(request, timeout=120)
        except urllib.error.HTTPError as answer:
            return answer
        except urllib.error.URLError as error:
            raise Failed(f"{self.url}{path} could not be reached: {error.reason}") from None

    def ask(self, path, body=None, headers=(), status=200):
        """An answer of this status, and its body."""
        with self.open(path, body, headers) as answer:
            text = answer.read().decode(errors="replace")
            if answer.status != status:
                raise Failed(f"{path} answered {answer.status} instead of {status}: {text[:500]}")
            try:
                return answer, json.loads(text)
            except ValueError:
                return answer, text

    def events(self, path, body):
        """The data of a stream's events, and the seconds between the first and the last of them."""
        with self.open(path, body) as answer:
            if answer.status != 200:
                raise Failed(f"{path} answered {answer.status} to a stream: {answer.read(500).decode(errors='replace')}")
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise Failed(f"{path} answered {answer.headers.get('content-type')} to a stream")
            data, times = [], []
            for line in answer:
                if line.startswith(b"data:"):
                    data.append(line.removeprefix(b"data:").strip().decode())
                    times.append(time.monotonic())
        if not data:
            raise Failed(f"{path}: the stream has no events")
        return data, times[-1] - times[0]


def token(given):
    form = {"grant_type": "client_credentials", "client_id": given["CLIENT_ID"], "client_secret": given["CLIENT_SECRET"]}
    request = urllib.request.Request(given["TOKEN_URL"], urllib.parse.urlencode(form).encode(), {"user-agent": "tollgate-smoke"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["access_token"]
    except urllib.error.HTTPError as answer:
        raise Failed(f"{given['TOKEN_URL']} answered {answer.code}: {answer.read(300).decode(errors='replace')}") from None
    except urllib.error.URLError as error:
        raise Failed(f"{given['TOKEN_URL']} could not be reached: {error.reason}") from None


def expect(holds, what):
    if not holds:
        raise Failed(what)


def health(gateway):
    _, body = gateway.ask("/")
    return str(body)[:40]


def no_token(gateway):
    body = {"model": "any", "messages": PROMPT}
    for headers in ((), {"authorization": "Bearer not.a.token"}, {"x-api-key": "not.a.token"}):
        _, error = gateway.ask("/v1/chat/completions", body, headers, 401)
        expect(isinstance(error, dict) and "error" in error, f"the 401 is no error of the API: {error}")
    return "without a token, and with bad ones"


def models(gateway):
    _, listed = gateway.ask("/v1/models")
    return [model["id"] for model in listed["data"]]


def chat(gateway, model):
    answer, body = gateway.ask("/v1/chat/completions", {"model": model, "max_tokens": 20, "messages": PROMPT})
    expect(body["choices"][0]["message"]["role"] == "assistant", f"no answer of an assistant: {body}")
    return f"{body['usage']['total_tokens']} tokens by {answer.headers['x-tollgate-provider']}"


def messages(gateway, model):
    answer, body = gateway.ask("/v1/messages", {"model": model, "max_tokens": 20, "messages": PROMPT}, {"x-api-key": gateway.token})
    expect(body["type"] == "message" and body["content"], f"no message: {body}")
    return f"{body['usage']['output_tokens']} tokens out by {answer.headers['x-tollgate-provider']}"


def streamed(events, seconds):
    return f"{len(events)} events" + (f" over {seconds:.2f} s" if seconds > 0.01 else ", all at once: this front door does not stream")


def chat_stream(gateway, model):
    events, seconds = gateway.events("/v1/chat/completions", {"model": model, "max_tokens": 50, "stream": True, "messages": PROMPT})
    expect(events[-1] == "[DONE]", f"the stream ends with {events[-1]}")
    return streamed(events, seconds)


def messages_stream(gateway, model):
    events, seconds = gateway.events("/v1/messages", {"model": model, "max_tokens": 50, "stream": True, "messages": PROMPT})
    last = json.loads(events[-1])["type"]
    expect(last == "message_stop", f"the stream ends with {last}")
    return streamed(events, seconds)


def limit(gateway, model, most):
    """Asks until it is refused, eight at a time."""
    body = {"model": model, "max_tokens": 50, "messages": PROMPT}

    def once(_):
        with gateway.open("/v1/chat/completions", body) as answer:
            text = answer.read().decode(errors="replace")
            expect(answer.status in (200, 429), f"answered {answer.status} on the way to the limit: {text[:300]}")
            return (answer.status, answer.headers.get("retry-after"), text, answer.headers.get("x-ratelimit-limit-requests"))

    asked, allowed = 0, None
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        while asked < most:
            answers = list(pool.map(once, range(min(8, most - asked))))
            asked += len(answers)
            for status, retry_after, text, limit_requests in answers:
                allowed = limit_requests or allowed
                if status == 429:
                    refusal = json.loads(text)
                    expect(retry_after and refusal["allowed"] is False and refusal["error"], f"the 429 is not whole: {text[:300]}")
                    return f"after {asked} requests at most: {refusal['reason']}"
    raise Failed(f"no 429 in {asked} requests (the team may send {allowed or 'any number'} a minute). Take a client of a smaller tier, a larger LIMIT_REQUESTS, or 0 to leave this out")


def checks(given):
    """Each check by name; a later one may need what an earlier one found."""
    gateway = Gateway(given["URL"])
    yield "health", lambda: health(gateway)
    yield "401", lambda: no_token(gateway)

    def get_token():
        gateway.token = token(given)
        return f"from {given['TOKEN_URL']}"

    yield "token", get_token
    found = []
    yield "models", lambda: found.extend(models(gateway)) or ", ".join(found)[:100]
    model = given.get("MODEL") or (found[0] if found else "default")
    yield "chat completions", lambda: chat(gateway, model)
    yield "chat completions, stream", lambda: chat_stream(gateway, model)
    yield "messages", lambda: messages(gateway, model)
    yield "messages, stream", lambda: messages_stream(gateway, model)
    most = int(given.get("LIMIT_REQUESTS", 220))
    if most:
        limited = given.get("LIMIT_MODEL") or ("demo-budget" if "demo-budget" in found else model)
        yield f"429 of {limited}", lambda: limit(gateway, limited, most)


def main():
    failed = False
    try:
        for name, check in checks(settings()):
            try:
                print(f"ok      {name}: {check()}", flush=True)
            except (Failed, KeyError, IndexError, TypeError, ValueError) as error:
                failed = True
                print(f"FAILED  {name}: {error if isinstance(error, Failed) else repr(error)}", flush=True)
                if name in ("health", "token"):
                    break
    except Failed as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 2
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
