"""The upstreams' own view: what reached them."""

import httpx

from .process import eventually


class Journal:
    """The journal of fake-bedrock or fake-llm (`tests/servers`)."""

    def __init__(self, url: str):
        self.url = url

    def requests(self, contains: str) -> list[dict]:
        return httpx.get(f"{self.url}/journal?contains={contains}").json()

    def only(self, contains: str) -> dict:
        """The one request with this text."""
        found = self.requests(contains)
        assert len(found) == 1, f"{len(found)} requests with {contains}: {[(r['path'], r['outcome']) for r in found]}"
        return found[0]

    def last(self, contains: str) -> dict:
        found = self.requests(contains)
        assert found, f"no request with {contains} arrived"
        return found[-1]

    def wait_for_outcome(self, contains: str, outcome: str, timeout_s: float = 15) -> dict:
        def arrived():
            return next((r for r in self.requests(contains) if r["outcome"] == outcome), None)

        return eventually(arrived, f"a request with {contains} that is {outcome}", timeout_s)

    def stats(self) -> dict:
        return httpx.get(f"{self.url}/stats").json()


class AimockJournal:
    """aimock's journal: bodies in its own normal form, headers without credentials."""

    def __init__(self, url: str, key: str):
        self.url = url
        self.key = key

    def requests(self, contains: str) -> list[dict]:
        entries = httpx.get(f"{self.url}/__aimock/journal", headers={"x-api-key": self.key}).json()
        return [entry for entry in entries if contains in str(entry["body"])]

    def last(self, contains: str) -> dict:
        found = self.requests(contains)
        assert found, f"no request with {contains} arrived"
        return found[-1]
