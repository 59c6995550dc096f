"""Servers under test: start, wait for the address that they print, keep what they say, stop."""

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 30


_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_the_suite() -> None:
    """However pytest ends, its servers end too (Linux; elsewhere only its own clean-up does it)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Server:
    """A child process whose output is kept line by line."""

    def __init__(self, name: str, command: list[str], env: dict[str, str] | None = None, cwd: Path | None = None):
        self.name = name
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        # Only what a program needs: no proxy, no key and no profile of the person who runs the suite.
        base = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
        self.process = subprocess.Popen(
            command,
            env=base | (env or {}),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=_die_with_the_suite,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._new.put(line)
        self._new.put(None)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def peak_kb(self) -> int:
        """The most memory that it ever had. What it has now is the allocator's business: it keeps some of each call's."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        raise RuntimeError(f"{self.name} has no VmHWM line")

    def wait_for(self, wanted: Callable[[str], object], timeout_s: float = PATIENCE_S):
        """The first value that `wanted` makes of a line, of those printed so far and of those to come."""
        deadline, seen = time.monotonic() + timeout_s, 0
        while True:
            while seen < len(self.lines):
                value = wanted(self.lines[seen])
                seen += 1
                if value:
                    return value
            if not self.alive and not self._reader.is_alive() and seen == len(self.lines):
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.output}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} did not say it in {timeout_s} s:\n{self.output}")
            try:
                self._new.get(timeout=0.1)
            except queue.Empty:
                pass

    def ended(self, timeout_s: float = PATIENCE_S) -> int:
        """Waits until it ends by itself, and all that it said is in `output`; gives its exit code."""
        code = self.process.wait(timeout=timeout_s)
        self._reader.join(timeout_s)
        assert not self._reader.is_alive(), f"{self.name} has left somebody who writes for it"
        return code

    def stop(self) -> None:
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # Whoever reads the lines afterwards has all of them.
        self._reader.join(PATIENCE_S)


def json_line(line: str) -> dict | None:
    """The object of a JSON log line."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def listen_address(line: str) -> str | None:
    """The URL in a line that says where a server listens."""
    value = json_line(line) or {}
    address = value.get("listen") or value.get("fields", {}).get("listen")
    if not address:
        return None
    return address if address.startswith("http") else f"http://{address}"


def eventually(condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S):
    """Polls until the condition gives something."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.02)
