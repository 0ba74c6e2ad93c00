"""Progress is told on a terminal, and only there."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SLOW = "input x : f64[n]\nparam w : f64 = 1.0\nloss = sum(sin(w * x) ** 2) / n\nupdate w = w - 1e-3 * grad(loss, w)\noutput loss\n"


def test_a_terminal_sees_how_far_a_long_run_is_and_a_pipe_does_not(tmp_path: Path) -> None:
    import numpy as np

    (tmp_path / "a.dfg").write_text(SLOW)
    np.save(tmp_path / "x.npy", np.linspace(0, 1, 100_000))
    line = [sys.executable, "-m", "dfg", "run", "a.dfg", "--input", "x=x.npy", "--repeat", "1000"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    ours, theirs = pty.openpty()
    child = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, env=env)
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
    out = child.communicate(timeout=60)[0].decode()
    os.close(ours)
    assert child.returncode == 0
    shown = said.decode()
    found = re.findall(r"\rrun (\d+) of 1000   loss [\d.e-]+   [\d.]+ (?:s|min) left", shown)
    assert found and [int(k) for k in found] == sorted(int(k) for k in found), shown
    assert shown.endswith(" \r"), "the line is wiped"
    piped = subprocess.run([*line[:-1], "1000"], cwd=tmp_path, capture_output=True, text=True, env=env, timeout=120, check=False)
    assert piped.stderr == ""
    assert piped.stdout == out
