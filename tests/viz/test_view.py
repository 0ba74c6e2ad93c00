"""From graphs to pictures: what stands where, what is hidden and said on arrows, folding, focus, the written files."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfg.ops
from dfg.diagnostics import UserError
from dfg.dims import named
from dfg.ir import Graph, Origin, Roots, Value, seal
from dfg.ops import get
from dfg.ops.base import make_constant
from dfg.ops.calculus import emit_grad
from dfg.ops.leaf import make_pin
from dfg.passes.manager import PIPELINE, run_pipeline
from dfg.types import F32, F64, DType, TensorType
from dfg.viz import words
from dfg.viz.draw import draw
from dfg.viz.engine import layout
from dfg.viz.picture import Node, Picture, to_dot
from dfg.viz.scene import Scene
from dfg.viz.view import build, render

assert dfg.ops.OPS
N = named("n")


def leaf(g: Graph, kind: str, name: str, *shape: Any, dtype: DType = F64) -> Value:
    v = g.emit(get(kind), (), (name, TensorType(dtype, shape)))
    g.names[name] = v
    return v


def bind(g: Graph, **values: Value) -> None:
    g.names.update(values)


def lesson() -> tuple[Graph, dict[str, Value]]:
    """The lesson through the passes, and its values by name; `d`, `q`, `gd` are the unnamed ones."""
    g = Graph()
    x, ystar = leaf(g, "input", "x", N), leaf(g, "input", "ystar", N)
    w, b = leaf(g, "param", "w"), leaf(g, "param", "b")

    def wide(v: Value) -> Value:
        return g.emit(get("broadcast"), (v,), ((N,), ()))

    u = get("multiply")(wide(w), x)
    v = get("add")(u, wide(b))
    y = get("exp")(v)
    d = get("subtract")(y, ystar)
    two = make_constant(g, 2.0, F64)
    g.literals[two.index] = "2"
    l = get("sum")(get("power")(d, wide(two)), axes=(0,))
    dw, db = emit_grad(l, [w, b])
    bind(g, u=u, v=v, y=y, l=l, dl_dw=dw, dl_db=db)
    g.roots = Roots({"y": y, "l": l, "dl_dw": dw, "dl_db": db})
    g = run_pipeline(g, PIPELINE)
    n = dict(g.names)
    by_op = {value.op.name: value for value in g.values}
    found = {**n, "dw": n["dl_dw"], "db": n["dl_db"], "d": by_op["subtract"], "q": by_op["power"], "gv": n["dl_db"].operands[0]}
    found["gd"] = next(o for o in found["gv"].operands if o is not n["y"])
    return g, found


def titles(picture: Picture) -> dict[str, Node]:
    return {node.lines[0].text: node for node in picture.nodes}


def texts(node: Node) -> list[str]:
    return [line.text for line in node.lines]


def mlp(layers: int, calls: bool = True) -> Graph:
    """A deep network with skips, parameters with dotted names, and the gradient by every parameter."""
    g = Graph()
    h = leaf(g, "input", "x", N, 64, dtype=F32)
    steps = []
    for k in range(layers):
        w, b = leaf(g, "param", f"blocks.{k}.w", 64, 64, dtype=F32), leaf(g, "param", f"blocks.{k}.b", 64, dtype=F32)
        g.call = (f"linear_{k + 1}" if k else "linear") if calls else ""
        m = get("contract")(h, w, subs="ab,bc->ac")
        wide = g.emit(get("broadcast"), (b,), ((N, 64), (1,)))
        s = get("add")(m, wide)
        g.call = ""
        t = get("tanh")(s)
        g.names[f"h{k}"] = t
        steps.append((h, w, b, m, wide, t))
        h = get("add")(t, steps[k - 2][5]) if k % 2 and k > 1 else t
    l = get("sum")(h, axes=(0, 1))
    g.names["l"] = l
    outputs = {"l": l}
    ones = g.emit(get("broadcast"), (make_constant(g, 1.0, F32),), ((N, 64), ()))
    ct = ones
    for before, w, b, m, wide, t in reversed(steps):
        g.origin = Origin(t.index, "tanh")
        cs = get("multiply")(ct, get("subtract")(ones, get("multiply")(t, t)))
        g.origin = Origin(wide.index, "broadcast")
        outputs[f"dl_d{b.attrs[0]}"] = get("sum")(cs, axes=(0,))
        g.origin = Origin(m.index, "contract")
        outputs[f"dl_d{w.attrs[0]}"] = get("contract")(before, cs, subs="ab,ac->bc")
        ct = get("contract")(cs, w, subs="ab,cb->ac")
    g.origin = None
    g.names.update(outputs)
    g.roots = Roots(outputs)
    return g


def test_forward_lesson_reads_like_the_program() -> None:
    g, v = lesson()
    picture = build(g)
    found = titles(picture)
    assert set(found) == {"x", "w", "b", "ystar", "×", "+", "exp", "−", "** 2", "sum"}
    assert "u : f64[n]" in texts(found["×"])
    assert "y : f64[n]" in texts(found["exp"])
    assert found["sum"].role == "output"
    assert found["w"].role == "param"
    assert found["x"].role == "input"
    assert {(e.source, e.target, e.label) for e in picture.edges} >= {
        (f"v{v['w'].index}", f"v{v['u'].index}", "to [n]"), (f"v{v['x'].index}", f"v{v['u'].index}", "")}
    assert len(picture.edges) == 9


def test_both_passes_stand_side_by_side_with_expressions() -> None:
    g, v = lesson()
    picture = build(g, view="both")
    found = titles(picture)
    assert {"dl_dw", "dl_db", "∂l/∂v", "2 · (y − ystar)"} <= set(found)
    assert "sum(∂l/∂v · x)" in texts(found["dl_dw"]), "one rule and the sum of its broadcast are one step"
    assert "sum(∂l/∂v)" in texts(found["dl_db"])
    assert "∂ · y" in texts(found["∂l/∂v"])
    for title, forward in (("dl_dw", "w"), ("dl_db", "b"), ("∂l/∂v", "v"), ("2 · (y − ystar)", "d")):
        assert found[title].partner == f"v{v[forward].index}"
        assert found[title].column == "backward"
        assert found[title].role == "gradient"
    kept = {name for name, value in v.items() for node in picture.nodes if node.id == f"v{value.index}" and node.kept}
    assert kept == {"x", "y", "d"}
    uses = {(e.source, e.target) for e in picture.edges if e.role == "uses"}
    assert uses == {(f"v{v['x'].index}", f"v{v['dw'].index}"), (f"v{v['y'].index}", f"v{v['gv'].index}"), (f"v{v['d'].index}", f"v{v['gd'].index}")}


def test_backward_view_shows_gradients_and_what_they_read() -> None:
    g, v = lesson()
    picture = build(g, view="backward")
    assert {node.id for node in picture.nodes} == {f"v{v[n].index}" for n in ("x", "y", "d", "gd", "gv", "dw", "db")}
    assert all(edge.role in ("gradient", "uses") for edge in picture.edges)


def test_values_are_shown_as_the_lesson_prints_them() -> None:
    g, v = lesson()
    arrays = {v["y"].index: np.array([9.487736]), v["l"].index: np.float64(89.309411), v["dw"].index: 89.66256, v["db"].index: np.array(179.32512)}
    found = titles(build(g, view="both", values=arrays))
    assert found["exp"].values == "[9.4877]"
    assert found["sum"].values == "89.3094"
    assert found["dl_dw"].values == "89.6626"
    assert found["dl_db"].values == "179.3251"


def test_second_order_stands_in_the_backward_column() -> None:
    g = Graph()
    x = leaf(g, "input", "x")
    y = get("sin")(get("multiply")(x, x))
    (first,) = emit_grad(y, [x])
    (second,) = emit_grad(first, [x])
    bind(g, y=y, dy_dx=first, d2y=second)
    g.roots = Roots({"y": y, "dy_dx": first, "d2y": second})
    g = run_pipeline(g, PIPELINE)
    picture = build(g, view="both")
    found = titles(picture)
    assert found["dy_dx"].column == found["d2y"].column == "backward"
    assert {node.column for node in picture.nodes if node.role == "gradient"} == {"backward"}
    ET.fromstring(draw(picture, layout(picture)))


def test_a_gradient_that_is_a_forward_value_is_said_so() -> None:
    g = Graph()
    x = leaf(g, "input", "x", N)
    y = get("exp")(x)
    l = get("sum")(y, axes=(0,))
    (dx,) = emit_grad(l, [x])
    bind(g, y=y, l=l, dl_dx=dx)
    g.roots = Roots({"y": y, "l": l, "dl_dx": dx})
    picture = build(run_pipeline(g, PIPELINE), view="both")
    assert "also dl_dx" in texts(titles(picture)["exp"])
    assert any("no backward pass" in note for note in picture.notes)


def test_a_loop_and_its_reverse_are_boxes() -> None:
    g = Graph()
    xs, start = leaf(g, "input", "xs", N), leaf(g, "param", "start")
    body = Graph()
    carry = body.emit(get("arg"), (), (0, TensorType(F64)))
    item = body.emit(get("arg"), (), (1, TensorType(F64)))
    after = get("tanh")(get("multiply")(carry, item))
    sealed, _ = seal(body, [carry, item], [after])
    last = g.emit(get("part"), (g.emit(get("scan"), (start, xs), (sealed, N, 1, 1, False)),), (0,))
    l = get("multiply")(last, last)
    (ds,) = emit_grad(l, [start])
    bind(g, l=l, dl_dstart=ds)
    g.roots = Roots({"l": l, "dl_dstart": ds})
    picture = build(run_pipeline(g, PIPELINE), view="both")
    loops = [node for node in picture.nodes if node.lines[0].text == "scan × n"]
    assert sorted(node.role for node in loops) == ["fold", "gradient"]
    assert any("every step" in edge.label for edge in picture.edges if edge.role == "uses")
    ET.fromstring(draw(picture, layout(picture)))


def test_a_pin_is_not_drawn_and_gives_its_name() -> None:
    g = Graph()
    x = leaf(g, "input", "x", N)
    e = get("exp")(x)
    p = make_pin(e)
    bind(g, h=p)
    out = get("tanh")(p)
    picture = build(g, {"out": out})
    assert [node.lines[0].text for node in picture.nodes] == ["x", "exp", "tanh"]
    assert "h : f64[n]" in texts(picture.nodes[1])


def test_casts_are_words_on_arrows_unless_named() -> None:
    g = Graph()
    x = leaf(g, "input", "x", N, dtype=F32)
    c = g.emit(get("cast"), (x,), (F64,))
    out = get("exp")(c)
    picture = build(g, {"out": out})
    assert len(picture.nodes) == 2
    assert picture.edges[0].label == "f32 → f64"
    g.names["wide"] = c
    assert titles(build(g, {"out": out}))["→ f64"].lines[1].text == "wide : f64[n]"


def test_constants_are_written_in_the_op() -> None:
    g = Graph()
    x = leaf(g, "input", "x")
    half, one = make_constant(g, 0.5, F64), make_constant(g, 1.0, F64)
    g.literals[half.index] = ".5"
    a = get("multiply")(half, x)
    b = get("subtract")(one, a)
    c = get("maximum")(b, make_constant(g, 0.1, F64))
    assert list(titles(build(g, {"c": c}))) == ["x", "× .5", "1 − ·", "maximum(·, 0.1)"]
    table = make_constant(g, np.arange(6.0).reshape(2, 3), F64)
    found = build(g, {"t": get("exp")(table)})
    assert [node.role for node in found.nodes] == ["const", "output"]
    alone = build(g, {"k": one})
    assert [node.role for node in alone.nodes] == ["const"]


def test_matrix_products_and_other_contractions() -> None:
    g = Graph()
    a, b = leaf(g, "input", "a", N, 3), leaf(g, "input", "b", 3, 4)
    assert words.symbol(get("contract")(a, b, subs="ab,bc->ac")) == "@"
    t = get("contract")(a, b, subs="ab,bc->ca")
    assert words.symbol(t) == "einsum"
    assert words.notes(t) == ["ab,bc->ca"]
    s = get("sum")(a, axes=(1,))
    assert words.notes(s) == ["axis=1"]
    assert words.notes(get("sum")(a, axes=(0, 1))) == []


def test_a_loop_is_one_box_with_a_count() -> None:
    g = Graph()
    xs, start = leaf(g, "input", "xs", N), leaf(g, "input", "start")
    body = Graph()
    carry = body.emit(get("arg"), (), (0, TensorType(F64)))
    item = body.emit(get("arg"), (), (1, TensorType(F64)))
    after = get("tanh")(get("add")(carry, item))
    sealed, _ = seal(body, [carry, item], [after, after])
    loop = g.emit(get("scan"), (start, xs), (sealed, N, 1, 1, False))
    last, every = g.emit(get("part"), (loop,), (0,)), g.emit(get("part"), (loop,), (1,))
    bind(g, every=every)
    picture = build(g, {"out": get("exp")(last), "every": every})
    found = titles(picture)
    assert found["scan × n"].folded
    assert f"{len(sealed.graph)} values a step" in texts(found["scan × n"])
    assert any(edge.label == "result 0" for edge in picture.edges)


def test_calls_fold_with_their_gradients_and_unfold_into_frames() -> None:
    g = mlp(4)
    picture = build(g, view="both")
    found = titles(picture)
    assert "linear_2" in found
    assert found["linear_2"].folded
    assert "2 values" in texts(found["linear_2"])
    assert found["gradient of linear_2"].role == "gradient"
    assert found["gradient of linear_2"].column == "backward"
    assert any("folded" in note for note in picture.notes)
    plain = build(g, fold=False)
    assert not any(node.folded for node in plain.nodes)
    assert [group.count for group in plain.groups] == [2, 2, 2, 2]


def test_a_program_that_is_one_call_is_not_one_box() -> None:
    g = Graph()
    x = leaf(g, "input", "x")
    g.call = "loss"
    a = get("exp")(x)
    b = get("tanh")(a)
    c = get("sin")(b)
    g.call = ""
    assert {"exp", "tanh", "sin"} <= set(titles(build(g, {"c": c})))


@pytest.mark.parametrize("shown", ["forward", "both", "backward"])
@pytest.mark.parametrize("calls", [True, False])
def test_five_thousand_values_become_a_readable_picture_in_time(shown: str, calls: bool) -> None:
    g = mlp(420, calls)
    assert len(g) > 5000
    start = time.process_time()
    picture = build(g, view=shown)
    assert time.process_time() - start < 20.0
    assert len(picture.nodes) <= 150
    assert len(picture.edges) <= 400
    counted = sum(int(line.text.split()[0]) for node in picture.nodes for line in node.lines[1:2] if node.folded)
    note = picture.notes[-1].split()
    assert counted == int(note[0])
    order = {node.id: k for k, node in enumerate(picture.nodes)}
    assert all(order[e.source] < order[e.target] for e in picture.edges), "no cycle"
    svg = draw(picture, layout(picture, "layered"))
    ET.fromstring(svg)


def test_deep_chains_do_not_recurse() -> None:
    g = Graph()
    h = leaf(g, "input", "x")
    for _ in range(20_000):
        h = get("tanh")(get("sin")(h))
    picture = build(g, {"h": h})
    assert len(picture.nodes) <= 150


def test_many_independent_parts_are_folded_too() -> None:
    g = Graph()
    outputs = {}
    for k in range(400):
        outputs[f"o{k}"] = get("exp")(leaf(g, "input", f"x{k}"))
    picture = build(g, outputs, max_nodes=60)
    assert len(picture.nodes) <= 60


def test_focus_takes_the_neighbourhood_and_names_near_misses() -> None:
    g, v = lesson()
    near = build(g, focus="y", depth=1)
    assert {node.id for node in near.nodes} == {f"v{v[n].index}" for n in ("v", "y", "d")}
    wider = build(g, focus="y", depth=2)
    assert {node.id for node in wider.nodes} == {f"v{v[n].index}" for n in ("u", "b", "v", "y", "d", "ystar", "q")}
    assert any("of 10 values" in note for note in near.notes)
    with pytest.raises(UserError) as caught:
        build(g, focus="ystr")
    assert caught.value.diagnostics[0].code == "unknown-name"
    assert "ystar" in (caught.value.diagnostics[0].help or "")


def test_wrong_requests_are_diagnostics(tmp_path: Path) -> None:
    g, v = lesson()
    for request, code in [
        (lambda: render(g, None, tmp_path / "a.bmp"), "unknown-format"),
        (lambda: render(g, None, tmp_path / "a"), "unknown-format"),
        (lambda: build(g, view="sideways"), "unknown-view"),
        (lambda: build(g, {"y": v["y"]}, "backward"), "no-gradient"),
        (lambda: build(Graph()), "nothing-to-draw"),
    ]:
        with pytest.raises(UserError) as caught:
            request()
        assert caught.value.diagnostics[0].code == code
    assert list(tmp_path.iterdir()) == []


def test_updates_from_gradients_stand_after_them() -> None:
    g, v = lesson()
    rate = make_constant(g, 0.1, F64)
    new = get("subtract")(v["w"], get("multiply")(rate, v["dw"]))
    picture = build(g, {"l": v["l"], "w": new}, "both")
    node = next(n for n in picture.nodes if n.id == f"v{new.index}")
    assert node.column == "backward"
    assert node.output


@pytest.mark.parametrize("suffix", [".svg", ".png", ".dot"])
def test_files_are_written_the_same_twice(suffix: str, tmp_path: Path) -> None:
    g, _ = lesson()
    first = render(g, None, tmp_path / f"a{suffix}", "both")
    again = render(g, None, tmp_path / f"b{suffix}", "both")
    assert first.path.read_bytes() == again.path.read_bytes()
    data = first.path.read_bytes()
    assert data.startswith({".svg": b"<svg", ".png": b"\x89PNG", ".dot": b"digraph"}[suffix])
    if suffix == ".svg":
        words_ = [e.text for e in ET.fromstring(data).iter("{http://www.w3.org/2000/svg}text")]
        assert {"dl_dw", "sum(∂l/∂v · x)", "ystar", "to [n]"} <= set(words_)


def test_hostile_names_reach_no_markup(tmp_path: Path) -> None:
    g = Graph()
    x = leaf(g, "input", '"]; evil <b>&\\N\n{')
    g.names["</text><script>"] = out = get("exp")(x)
    written = render(g, {"</text><script>": out}, tmp_path / "a.svg").path.read_text()
    tags = {e.tag.split("}")[1] for e in ET.fromstring(written).iter()}
    assert "script" not in tags
    assert "URL" not in to_dot(build(g, {"</text><script>": out}))


def test_summaries() -> None:
    assert words.summary(np.array([1.0, 2.0])) == "[1, 2]"
    assert words.summary(np.zeros((0, 3))) == "empty"
    assert words.summary(np.array([True, False, True, True, False])) == "3 of 5 true"
    assert words.summary(np.array([[np.nan, np.inf] * 3])) == "3 NaN, 3 inf"
    assert words.summary(np.array([[0.0, 1.0], [2.5, -1.0]])) == "[[0, 1], [2.5, -1]]"
    assert words.summary(np.ones((3, 4))) == "all 1"
    assert words.summary(np.int64(3)) == "3"
    assert words.summary(np.arange(10, dtype=np.float32)) == "0 … 9, mean 4.5"
    assert words.number(1e-7) == "1e-07"


def test_scene_partner_goes_through_gradients_of_gradients() -> None:
    g, v = lesson()
    g.origin = Origin(v["gv"].index, "multiply")
    second = get("multiply")(v["gd"], v["gd"])
    g.origin = None
    scene = Scene.of(g, {"s": second})
    assert scene.partners[second.index] == v["v"].index


def test_at_a_folded_box_arrows_do_not_say_what_is_inside() -> None:
    g = mlp(4)
    loose = {edge.label for edge in build(g, view="both", fold=False).edges}
    assert any(label.startswith("to [") for label in loose)
    folded = build(g, view="both")
    inside = {node.id for node in folded.nodes if node.folded}
    assert inside
    for edge in folded.edges:
        assert not (edge.label.startswith("to [") and {edge.source, edge.target} & inside)


def test_a_small_constant_and_a_stretched_number_are_told_by_their_elements() -> None:
    g = Graph()
    x = leaf(g, "input", "x", 2, 2)
    k = make_constant(g, np.array([[0.0, 0.0], [0.0, 1.0]]), F64)
    zero = g.emit(get("broadcast"), (make_constant(g, 0.0, F64),), ((2, 2), ()))
    y = get("add")(get("multiply")(x, k), zero)
    bind(g, y=y, start=zero)
    g.roots = Roots({"y": y, "start": zero})
    said = [text for node in build(g).nodes for text in texts(node)]
    assert "[[0, 0], [0, 1]]" in said
    assert not any("broadcast" in text for text in said)
