"""The upstreams' own view: what reached them."""

import httpx

from . import patient
from .process import eventually


class Journal:
    """The journal of fake-bedrock or fake-llm (`tests/servers`)."""

    def __init__(self, url: str):
        self.url = url
        self._http = httpx.Client(timeout=patient.TIMEOUT_S)

    def requests(self, contains: str) -> list[dict]:
        return self._http.get(f"{self.url}/journal?contains={contains}").json()

    def only(self, contains: str) -> dict:
        """The one request with this text."""
        found = self.requests(contains)
        assert len(found) == 1, f"{len(found)} requests with {contains}: {[(r['path'], r['outcome']) for r in found]}"
        return found[0]

    def last(self, contains: str) -> dict:
        found = self.requests(contains)
        assert found, f"no request with {contains} arrived"
        return found[-1]

    def wait_for_outcome(self, contains: str, outcome: str) -> dict:
        def arrived():
            return next((r for r in self.requests(contains) if r["outcome"] == outcome), None)

        return eventually(arrived, f"a request with {contains} that is {outcome}")

    def release(self, contains: str) -> None:
        """Lets the `[held]` stream of the request with this text go on."""
        self._http.put(f"{self.url}/release?contains={contains}").raise_for_status()

    def stats(self) -> dict:
        return self._http.get(f"{self.url}/stats").json()


class AimockJournal:
    """aimock's journal: bodies in its own normal form, headers without credentials."""

    def __init__(self, url: str, key: str):
        self.url = url
        self._http = httpx.Client(timeout=patient.TIMEOUT_S, headers={"x-api-key": key})

    def requests(self, contains: str) -> list[dict]:
        entries = self._http.get(f"{self.url}/__aimock/journal").json()
        return [entry for entry in entries if contains in str(entry["body"])]

    def last(self, contains: str) -> dict:
        found = self.requests(contains)
        assert found, f"no request with {contains} arrived"
        return found[-1]
