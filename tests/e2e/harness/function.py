"""The gateway as a Lambda function: it polls a Runtime API of its own (`tests/servers`), which has the front doors.

What Lambda does to a sandbox can be done to it: `frozen` between invocations, for as long as one likes, and `kill`."""

import contextlib
import os
import signal
from pathlib import Path

import httpx

from . import patient
from .clients import CLIENTS
from .clock import Clock
from .config import GATEWAY_ENV, lambda_env
from .process import eventually
from .world import GATEWAY


class Function:
    """One environment of the function."""

    def __init__(self, world, config: dict | None = None, clock: Clock | None = None, api_options: list | None = None, program: Path = GATEWAY, **env):
        self.world = world
        self.clock = clock
        self.program = program
        clocks = clock.env if clock else {}
        # The same clock: it tells the function when an invocation ends.
        self.at = world.start_test_server("runtime-api", api_options or [], clocks)
        variables = lambda_env(self.at["runtime"], world.write_config(config or world.config()))
        self._env = GATEWAY_ENV | variables | clocks | env
        self.start()
        self.token = world.issuer.token()

    def start(self) -> None:
        """A new sandbox, behind the same front doors."""
        polls = self.polls()
        self.server = self.world.start_gateway(env=self._env, program=self.program)
        eventually(lambda: self.polls() > polls or not self.server.alive, "the function asks for its first event")
        assert self.server.alive, self.server.output

    def polls(self) -> int:
        return patient.get(f"{self.at['invoke']}/stats").json()["polls"]

    def health(self) -> httpx.Response:
        """As the load balancer checks it."""
        return patient.get(f"{self.at['invoke']}/health", timeout=90)

    def invoke(self, event: dict, deadline_ms: int = 30_000) -> httpx.Response:
        headers = {"x-deadline-ms": str(deadline_ms)}
        return patient.post(f"{self.at['invoke']}/invoke", json=event, headers=headers, timeout=90)

    def client(self, door: str, name: str, token: str | None = None):
        return CLIENTS[name](self.at[door], token or self.token)

    @contextlib.contextmanager
    def frozen(self, seconds: float = 0):
        """Lambda freezes the sandbox; `seconds` later, by its own clocks, it goes on."""
        self.idle()
        os.kill(self.server.process.pid, signal.SIGSTOP)
        try:
            yield
            if seconds:
                assert self.clock, "a function with a clock of its own"
                self.clock.forward(seconds)
        finally:
            os.kill(self.server.process.pid, signal.SIGCONT)

    def idle(self) -> None:
        """Lambda freezes a sandbox that has asked for its next event."""
        eventually(lambda: patient.get(f"{self.at['invoke']}/stats").json()["waiting"], "the function waits for an event")

    def kill(self) -> None:
        """Lambda takes the sandbox away."""
        self.server.process.kill()
        self.server.process.wait()
