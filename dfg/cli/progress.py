"""How far a long run is: one line on standard error, on a terminal only, gone when the work is done.

    run 1200 of 5000   loss 0.0312   9 s left
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from types import TracebackType

FIRST, EVERY = 1.0, 0.2
"""Seconds before the line first appears, and between two writings of it."""


class Progress:
    """`with Progress(total) as progress: progress(done, "loss 0.1")`; says nothing to a file or a pipe, nor of work under a second."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.began = time.monotonic()
        self.next = self.began + FIRST
        self.width = 0
        try:
            self.terminal = total > 1 and sys.stderr.isatty()
        except (AttributeError, ValueError):
            self.terminal = False

    def due(self) -> bool:
        """Is it time to write again? (Asked at each run, so that the words are made only when they are shown.)"""
        return self.terminal and time.monotonic() >= self.next

    def __call__(self, done: int, words: str = "") -> None:
        now = time.monotonic()
        self.next = now + EVERY
        left = (now - self.began) / max(done, 1) * (self.total - done)
        text = f"run {done} of {self.total}{f'   {words}' if words else ''}   {_time(left)} left"[:118]
        with suppress(OSError, ValueError):
            sys.stderr.write("\r" + text.ljust(self.width))
            sys.stderr.flush()
        self.width = len(text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.width:
            with suppress(OSError, ValueError):
                sys.stderr.write("\r" + " " * self.width + "\r")
                sys.stderr.flush()


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
