"""The drawing model, its engines and the drawn files, on pictures made by hand: structure, hostile labels, failing engines."""

from __future__ import annotations

import io
import os
import random
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfg.diagnostics import UserError
from dfg.viz import engine, fonts, layered
from dfg.viz.draw import draw
from dfg.viz.engine import layout, layout_svg, svg_to_png, write_atomically
from dfg.viz.labels import clear
from dfg.viz.layout import Curve, Layout
from dfg.viz.picture import Edge, Group, Line, Node, Picture, clean, default_legend, label_size, ranks, size_of, to_dot

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    'say "hi"', "a < b & c > d", "&lt;script&gt;", "<b>bold</b>", "<<TABLE></TABLE>>", "back\\slash",
    "\\N \\G \\l \\n", "two\nlines", "tab\there",
    "emoji 😀 日本語", "θ ŷ ∂ℓ/∂w", "x" * 500, "]]>", "--> }", "\x00\x07nul", "\ud800 alone",
    "'); drop", "javascript:alert(1)", "%s %d", "a\u0301", "\u202eright to left",
]


def lesson(values: bool = True) -> Picture:
    """l = sum((exp(w x + b) - y*)^2), both passes, with the lesson's figures."""
    def op(name: str, symbol: str, words: str, value: str, **more: bool) -> Node:
        return Node(name, (Line(symbol), Line(words, "name")), "op", values=value, **more)

    def gradient(name: str, expression: str, value: str, partner: str, **more: bool) -> Node:
        return Node(f"g{partner}", (Line(name), Line(expression, "name")), "gradient", "backward", partner=partner, values=value, **more)

    nodes = (
        Node("x", (Line("x"), Line("f64[n]", "type")), "input", values="[0.5]", kept=True),
        Node("w", (Line("w"), Line("f64", "type")), "param", values="0.5"),
        Node("b", (Line("b"), Line("f64", "type")), "param", values="2.0"),
        op("u", "×", "u : f64[n]", "[0.25]"),
        op("v", "+", "v : f64[n]", "[2.25]"),
        op("y", "exp", "y : f64[n]", "[9.4877]", kept=True),
        Node("ys", (Line("ystar"), Line("f64[n]", "type")), "input", values="[0.037371]"),
        op("d", "−", "f64[n]", "[9.4504]", kept=True),
        op("q", "** 2", "f64[n]", "[89.3094]"),
        Node("l", (Line("sum"), Line("l : f64", "name")), "output", values="89.3094", output=True),
        gradient("∂l/∂l", "1", "1", "l"),
        gradient("∂l/∂d", "2 · d", "[18.9008]", "d"),
        gradient("∂l/∂y", "∂l/∂d", "[18.9008]", "y"),
        gradient("∂l/∂v", "∂l/∂y · y", "[179.3251]", "v"),
        gradient("∂l/∂u", "∂l/∂v", "[179.3251]", "u"),
        gradient("∂l/∂w", "sum(∂l/∂u · x)", "89.6626", "w", output=True),
        gradient("∂l/∂b", "sum(∂l/∂v)", "179.3251", "b", output=True),
    )
    data = [("w", "u"), ("x", "u"), ("u", "v"), ("b", "v"), ("v", "y"), ("y", "d"), ("ys", "d"), ("d", "q"), ("q", "l")]
    back = [("gl", "gd"), ("gd", "gy"), ("gy", "gv"), ("gv", "gu"), ("gu", "gw"), ("gv", "gb")]
    uses = [("d", "gd"), ("y", "gv"), ("x", "gw")]
    edges = (
        *(Edge(s, t, "broadcast to [n]" if s == "w" else "") for s, t in data),
        *(Edge(s, t, role="gradient") for s, t in back),
        *(Edge(s, t, role="uses") for s, t in uses),
    )
    if not values:
        nodes = tuple(replace(node, values="") for node in nodes)
    return Picture(nodes, edges, (), default_legend(nodes, edges), "forward and backward")


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def boxes(picture: Picture, placed: engine.layered.Layout) -> dict[str, tuple[float, float, float, float]]:
    result = {}
    for node in picture.nodes:
        (x, y), (width, height) = placed.centres[node.id], size_of(node)
        result[node.id] = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return result


def overlaps(picture: Picture, placed: engine.layered.Layout) -> list[tuple[str, str]]:
    found = list(boxes(picture, placed).items())
    names = [name for name, _ in found]
    rows = np.array([box for _, box in found])
    order = np.argsort(rows[:, 0])
    hits = []
    for at, i in enumerate(order):
        later = order[at + 1 :]
        near = later[rows[later, 0] < rows[i, 2] - 0.1]
        bad = near[(rows[near, 1] < rows[i, 3] - 0.1) & (rows[near, 3] > rows[i, 1] + 0.1)]
        hits += [(names[i], names[j]) for j in bad]
    return hits


@pytest.mark.parametrize("name", ["wasi", "layered"])
@pytest.mark.parametrize("direction", ["right", "down"])
def test_lesson_has_every_label_once_and_no_overlap(name: str, direction: str) -> None:
    picture = replace(lesson(), direction=direction)
    placed = layout(picture, name)
    svg = draw(picture, placed)
    assert placed.engine == name
    assert overlaps(picture, placed) == []
    found = texts(svg)
    for node in picture.nodes:
        for line in (*(line.text for line in node.lines), node.values):
            assert line in found
    assert "broadcast to [n]" in found
    assert svg == draw(picture, layout(picture, name)), "the same bytes twice"
    assert all(curve is not None for curve in placed.curves)
    root = ET.fromstring(svg)
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    for rect in root.iter(f"{SVG}text"):
        assert 0 <= float(rect.get("y", "0")) <= height
    assert width > 300
    assert height > 300


@pytest.mark.parametrize("name", ["wasi", "layered"])
@pytest.mark.parametrize("direction", ["right", "down"])
def test_gradients_stand_beside_their_partners_in_a_column_of_their_own(name: str, direction: str) -> None:
    picture = replace(lesson(), direction=direction)
    placed = layout(picture, name)
    along, across = (0, 1) if direction == "right" else (1, 0)
    for node in picture.nodes:
        if node.partner:
            assert abs(placed.centres[node.id][along] - placed.centres[node.partner][along]) < 1.0
    found = boxes(picture, placed)
    forward = [found[node.id] for node in picture.nodes if node.column == "forward"]
    backward = [found[node.id] for node in picture.nodes if node.column == "backward"]
    assert max(box[across + 2] for box in forward) < min(box[across] for box in backward), "the columns do not mix"


def test_arrows_start_and_end_at_their_boxes() -> None:
    for name in ("wasi", "layered"):
        picture = lesson()
        placed = layout(picture, name)
        found = boxes(picture, placed)
        for edge, curve in zip(picture.edges, placed.curves, strict=True):
            assert curve is not None
            for (x, y), box in ((curve.points[0], found[edge.source]), (curve.points[-1], found[edge.target])):
                assert box[0] - 6 <= x <= box[2] + 6, (name, edge)
                assert box[1] - 6 <= y <= box[3] + 6, (name, edge)


def test_text_fits_its_box() -> None:
    for node in lesson().nodes:
        width, _ = size_of(node)
        assert all(fonts.width(line.text, 13.0) < width for line in node.lines if line.style == "name")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["wasi", "layered"])
def test_hostile_labels_are_shown_and_not_interpreted(text: str, name: str) -> None:
    nodes = (Node(text, (Line(text), Line(text, "name")), "input", tooltip=text, values=text), Node("other", (Line("+"),)))
    picture = Picture(nodes, (Edge(text, "other", text),), (Group(text, (text, "other"), 2),), (("input", text),), text)
    svg = draw(picture, layout(picture, name))
    root = ET.fromstring(svg)
    allowed = {f"{SVG}{t}" for t in ("svg", "g", "title", "desc", "rect", "text", "path", "polygon")}
    assert {element.tag for element in root.iter()} <= allowed
    shown = texts(svg)
    assert sum(bool(s.strip()) for s in shown) >= 4
    if len(text) < 30:
        assert clean(text) in shown


def test_hostile_labels_survive_in_dot_text() -> None:
    for text in HOSTILE:
        if len(text) > 30:
            continue
        picture = Picture((Node("a", (Line(text),)),))
        dot = to_dot(picture)
        drawn = layout_svg(dot, "wasi")
        labels = [t for t in texts(drawn) if t.strip()]
        assert labels == [clean(text)], dot
        assert "URL" not in dot
        assert "href" not in dot


def test_ids_are_generated() -> None:
    dot = to_dot(Picture((Node('"; evil [x=1]', (Line("ok"),)),)))
    assert "evil" not in dot.split("label=", 1)[0] + dot.rsplit("]", 1)[-1]
    assert "n0" in dot


def test_long_lines_are_elided_but_stay_in_the_tooltip() -> None:
    long = "layers." * 40
    picture = Picture((Node("a", (Line(long),), tooltip=long),))
    svg = draw(picture, layout(picture, "layered"))
    assert any("…" in t for t in texts(svg))
    assert any(long == (t.text or "") for t in ET.fromstring(svg).iter(f"{SVG}title"))


def fake_worker(folder: Path, body: str) -> Path:
    path = folder / "worker.py"
    path.write_text(body)
    return path


@pytest.mark.parametrize(("body", "reason"), [
    ("import time; time.sleep(60)", "no result"),
    ("import os; os.abort()", "status -6"),
    ("import sys; sys.stderr.write('out of memory'); sys.exit(3)", "out of memory"),
    ("print('{not json')", "could not be read"),
    ("print('{\"bb\": \"0,0,1,1\"}')", "placed 0 of"),
    ("pass", "status 0"),
])
def test_a_failing_engine_gives_way_and_says_so(body: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WORKER", fake_worker(tmp_path, body))
    monkeypatch.setattr(engine.shutil, "which", lambda _: None)
    start = time.monotonic()
    placed = layout(lesson(), "auto", timeout=1.0)
    assert time.monotonic() - start < 60
    assert placed.engine == "layered"
    assert any(reason in note for note in placed.notes)
    assert any("dot" in note for note in placed.notes)
    with pytest.raises(UserError) as caught:
        layout(lesson(), "wasi", timeout=1.0)
    assert caught.value.diagnostics[0].code == "layout-failed"
    with pytest.raises(UserError):
        layout_svg("digraph {}", "wasi", timeout=1.0)


def test_a_killed_child_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "pid"
    body = f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    monkeypatch.setattr(engine, "WORKER", fake_worker(tmp_path, body))
    monkeypatch.setattr(engine.shutil, "which", lambda _: None)
    layout(lesson(), timeout=2.0)
    pid = int(mark.read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_system_dot_is_used_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dot"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{engine.WORKER}" "${{1#-T}}"\n')
    program.chmod(0o755)
    monkeypatch.setattr(engine.shutil, "which", lambda _: str(program))
    monkeypatch.setattr(engine, "WORKER", tmp_path / "absent.py")
    assert layout(lesson(), "dot").engine == "dot"
    placed = layout(lesson(), "auto")
    assert placed.engine == "dot"
    assert placed.notes


def test_unknown_engine_and_broken_dot_are_diagnostics() -> None:
    with pytest.raises(UserError) as caught:
        layout(lesson(), "neato")
    assert caught.value.diagnostics[0].code == "unknown-engine"
    with pytest.raises(UserError) as caught:
        layout_svg("digraph { a -> ", "wasi")
    assert caught.value.diagnostics[0].code == "layout-failed"


def dark(data: bytes) -> tuple[Image.Image, float]:
    image = Image.open(io.BytesIO(data)).convert("L")
    return image, float((np.asarray(image) < 110).sum())


def test_png_text_is_there_with_the_shipped_font() -> None:
    with_text = Picture((Node("a", (Line("legible words"),), "input"),))
    svg = draw(with_text, layout(with_text, "layered"))
    assert not fonts.missing("".join(texts(svg)))
    empty = svg.replace(">legible words</text>", "></text>")
    image, pixels = dark(svg_to_png(svg))
    _, none = dark(svg_to_png(empty))
    assert pixels - none > 800, "the words are drawn"
    assert image.width > 200
    root = ET.fromstring(svg)
    assert abs(image.width - 2 * float(root.get("width", "0"))) <= 2


def test_png_of_graphviz_svg_has_text_and_points_are_not_shrunk() -> None:
    svg = layout_svg('digraph { a [label="legible words" fontname="Helvetica,Arial"] }', "wasi")
    assert 'pt"' in svg
    _, pixels = dark(svg_to_png(svg))
    _, none = dark(svg_to_png(svg.replace("legible words", " ")))
    assert pixels - none > 500


def test_png_is_the_same_twice_and_bounded() -> None:
    picture = lesson()
    svg = draw(picture, layout(picture, "layered"))
    assert svg_to_png(svg) == svg_to_png(svg)
    with pytest.raises(UserError) as caught:
        svg_to_png('<svg xmlns="http://www.w3.org/2000/svg" width="90000" height="90000"></svg>')
    assert caught.value.diagnostics[0].code == "picture-too-large"
    big = Image.open(io.BytesIO(svg_to_png('<svg xmlns="http://www.w3.org/2000/svg" width="9000" height="9000"></svg>')))
    assert big.width * big.height <= engine.MAX_PIXELS * 1.01


def test_writing_is_atomic(tmp_path: Path) -> None:
    target = tmp_path / "a.svg"
    write_atomically(target, b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    with pytest.raises(UserError):
        write_atomically(tmp_path / "no" / "such" / "a.svg", b"")


def random_picture(seed: int, count: int, edges: int, both: bool = False) -> Picture:
    rng = random.Random(seed)
    nodes = [Node(f"v{k}", (Line("op" * rng.randint(1, 9)),), "op") for k in range(count)]
    pairs = [sorted(rng.sample(range(count), 2)) for _ in range(edges)]
    arrows = [Edge(f"v{a}", f"v{b}", "cast f32" if rng.random() < 0.1 else "") for a, b in pairs]
    if both:
        some = rng.sample(range(count), count // 2)
        nodes += [Node(f"g{k}", (Line("∂"),), "gradient", "backward", partner=f"v{k}") for k in sorted(some, reverse=True)]
        arrows += [Edge(f"g{a}", f"g{b}", role="gradient") for b, a in zip(sorted(some), sorted(some)[1:], strict=False)]
        arrows += [Edge(f"v{rng.randrange(count)}", f"g{k}", role="uses") for k in some]
    return Picture(tuple(nodes), tuple(arrows))


@pytest.mark.parametrize("seed", range(8))
def test_layered_never_overlaps(seed: int) -> None:
    picture = random_picture(seed, 60, 90, both=seed % 2 == 0)
    placed = layered.layout(picture)
    assert overlaps(picture, placed) == []
    assert all(curve is not None for curve in placed.curves)
    ET.fromstring(draw(picture, placed))


@pytest.mark.parametrize("seed", [0, 1])
def test_graphviz_never_overlaps(seed: int) -> None:
    picture = random_picture(seed, 60, 90, both=seed == 0)
    assert overlaps(picture, layout(picture, "wasi")) == []


def test_ranks_follow_the_data() -> None:
    picture = random_picture(5, 80, 120)
    rank = ranks(picture)
    assert all(rank[edge.source] < rank[edge.target] for edge in picture.edges)


def test_ten_thousand_boxes_are_laid_out_fast_and_a_chain_is_no_recursion() -> None:
    nodes = tuple(Node(f"v{k}", (Line("tanh"),)) for k in range(10_000))
    chain = Picture(nodes, tuple(Edge(f"v{k}", f"v{k + 1}") for k in range(9_999)))
    start = time.process_time()
    placed = layout(chain)
    assert placed.engine == "layered"
    assert placed.notes
    wide = random_picture(3, 5_000, 8_000)
    assert overlaps(wide, layered.layout(wide)) == []
    assert time.process_time() - start < 60
    ET.fromstring(draw(chain, placed))


def test_empty_picture_and_self_arrow() -> None:
    empty = Picture(())
    for name in ("wasi", "layered"):
        ET.fromstring(draw(empty, layout(empty, name)))
        loop = Picture((Node("a", (Line("a"),)),), (Edge("a", "a", "again"),))
        assert "again" in texts(draw(loop, layout(loop, name)))


def test_frames_are_drawn_only_around_their_own() -> None:
    nodes = tuple(Node(n, (Line(n),)) for n in "abc")
    edges = (Edge("a", "b"), Edge("b", "c"))
    good = Picture(nodes, edges, (Group("f", ("a", "b"), 2),))
    assert "f" in texts(draw(good, layout(good, "layered")))
    bad = Picture(nodes, edges, (Group("f", ("a", "c"), 2),))
    assert "f" not in texts(draw(bad, layout(bad, "layered")))


def test_widths_are_those_of_the_font() -> None:
    from PIL import ImageFont

    for bold, path in zip((False, True), fonts.font_files(), strict=True):
        face = ImageFont.truetype(str(path), 1000, layout_engine=ImageFont.Layout.BASIC)
        for text in ("dl_dw = sum(2 * (y - ystar))", "∂ℓ/∂w ŷ θ", "WWW iii"):
            assert abs(fonts.width(text, 1000.0, bold) - sum(face.getlength(c) for c in text)) < len(text)


def test_a_curve_is_whole_pieces() -> None:
    with pytest.raises(ValueError, match="1 \\+ 3k"):
        Curve(((0, 0), (1, 1)))


def label_boxes(picture: Picture, placed: Layout) -> list[tuple[float, float, float, float]]:
    out = []
    for edge, curve in zip(picture.edges, placed.curves, strict=True):
        if edge.label and curve is not None:
            assert curve.label is not None
            width, height = label_size(edge.label)
            out.append((curve.label[0] - width / 2, curve.label[1] - height / 2, width, height))
    return out


@pytest.mark.parametrize("name", ["wasi", "layered"])
def test_words_on_arrows_touch_no_box_and_no_other_words(name: str) -> None:
    boxes_ = tuple(Node(f"n{k}", (Line(f"value {k}"),), column="backward" if k > 4 else "forward", partner=f"n{k - 5}" if k > 4 else None) for k in range(10))
    chain = [Edge(f"n{k}", f"n{k + 1}", "to [1500, 32]") for k in range(4)]
    across = [Edge(f"n{k}", f"n{k + 5}", "14 values", "uses") for k in range(5)]
    skips = [Edge("n0", "n3", "to [n, 3]"), Edge("n1", "n4", "bool → f64"), Edge("n9", "n5", "to [n]", "gradient")]
    back = [Edge(f"n{k + 1}", f"n{k}", "to [1500, 32]", "gradient") for k in range(5, 9)]
    picture = Picture(boxes_, (*chain, *across, *skips, *back))
    placed = clear(picture, engine.layout(picture, name))
    nodes = list(boxes(picture, placed).values())
    labels = label_boxes(picture, placed)
    assert len(labels) == len(picture.edges)
    for k, (x, y, w, h) in enumerate(labels):
        for a, b, c, d in [*nodes, *[(p, q, p + r, q + s) for p, q, r, s in labels[:k]]]:
            assert x >= c or a >= x + w or y >= d or b >= y + h


def test_a_label_with_no_free_place_hides_as_little_as_it_can() -> None:
    picture = Picture((Node("a", (Line("a"),)), Node("b", (Line("b"),))), (Edge("a", "b", "words"),))
    width = max(size_of(node)[0] for node in picture.nodes)
    free = Layout("by hand", 400.0, 60.0, {"a": (20.0, 30.0), "b": (380.0, 30.0)}, (Curve(((40.0, 30.0), (150.0, 30.0), (250.0, 30.0), (360.0, 30.0)), (20.0, 30.0)),))
    (moved,) = clear(picture, free).curves
    assert moved is not None and moved.label is not None and 20 + width < moved.label[0] < 380 - width
    none = Layout("by hand", 40.0, 60.0, {"a": (20.0, 30.0), "b": (21.0, 31.0)}, (Curve(((20.0, 30.0), (20.0, 30.0), (21.0, 31.0), (21.0, 31.0))),))
    (kept,) = clear(picture, none).curves
    assert kept is not None and kept.label is not None
