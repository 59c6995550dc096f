"""Windows of limits: UTC minutes, days and months."""

import time


def steady(seconds: float, window_s: int = 60) -> None:
    """Waits for the next window if this one ends within so many seconds."""
    left = window_s - time.time() % window_s
    if left < seconds:
        time.sleep(left + 0.05)
