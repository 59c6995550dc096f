"""Clocks of processes under test (`clock.c`, by LD_PRELOAD: Linux). Windows of limits are UTC minutes, days and months: a test of one must not see it roll over."""

import calendar
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LINUX = sys.platform == "linux"


def _library(folder: Path) -> Path:
    library = folder / "clock.so"
    if not library.exists():
        build = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(HERE / "clock.c"), "-ldl"]
        subprocess.run(build, check=True)
    return library


def _environment(folder: Path, ahead_s: float, wall_s: float) -> dict:
    """What a process needs to have these clocks."""
    file = folder / f"clock-{os.urandom(4).hex()}"
    file.write_bytes(struct.pack("qq", int(ahead_s * 1000), int(wall_s * 1000)))
    return {"LD_PRELOAD": str(_library(folder)), "CLOCK_AHEAD_FILE": str(file)}


def of(env: dict) -> dict:
    """The clock of a process with this environment, for another one that has to agree with it."""
    return {name: env[name] for name in ("LD_PRELOAD", "CLOCK_AHEAD_FILE") if name in env}


def standing(folder: Path) -> dict:
    """An environment whose wall clock stands, so that no window ends during a test: ahead, where the tokens of a part of the suite have begun and those of an hour
    have not expired, and some seconds into a minute. What measures time by other clocks goes on. Elsewhere than on Linux time does not stand."""
    wall_s = (time.time() + 3000) // 60 * 60 + 20
    return _environment(folder, 0, wall_s) if LINUX else {}


class Clock:
    """Clocks of some processes, which can be put forward together. They begin at noon in the middle of a month, which no test is away from by half a month."""

    def __init__(self, folder: Path):
        self.ahead_s = _until_mid_month(time.time())
        self.env = _environment(folder, self.ahead_s, 0)
        self._file = Path(self.env["CLOCK_AHEAD_FILE"])

    def forward(self, seconds: float) -> None:
        self.ahead_s += seconds
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", int(self.ahead_s * 1000)))


def _until_mid_month(now_s: float) -> float:
    now = time.gmtime(now_s)
    year, month = divmod(now.tm_year * 12 + now.tm_mon, 12)
    return calendar.timegm((year, month + 1, 15, 12, 0, 0)) - now_s
