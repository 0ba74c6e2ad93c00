"""What is wrong with a program, where, and how it is repaired: codes, the text of the primary span, and fixes that compile."""

from __future__ import annotations

import pytest
from lowering_helper import first_wrong, lowered, wrong

from dfg.diagnostics import UserError
from dfg.frontend.lowering import load_text

HEAD = "input x : f64[n, 3]\ninput v : f64[3]\ninput k : i64\nparam w : f64[4] = 1\n"
CASES: list[tuple[str, str, str]] = [
    # names
    ("output y = xx + 1", "unknown-name", "xx"),
    ("output y = vv", "unknown-name", "vv"),
    ("output y = tahn(x)", "unknown-op", "tahn"),
    ("output y = np.exp(x)", "pythonic-method", "np.exp"),
    ("output y = 2 * np.pi", "unknown-name", "np.pi"),
    ("output y = len(x)", "unknown-op", "len"),
    ("output y = range(3)", "unknown-op", "range"),
    ("output y = z\nz = x", "use-before-binding", "z"),
    ("y = x\ny = v", "duplicate-name", "y"),
    ("n = 3", "duplicate-name", "n"),
    ("x = 3", "duplicate-name", "x"),
    ("output v\noutput v", "duplicate-name", "v"),
    ("sum = v[0]\noutput y = sum(v)", "not-callable", "sum"),
    ("output y = v(2)", "not-callable", "v"),
    ("output y = x.foo", "unknown-field", "foo"),
    ("p = (w = v, b = 1)\noutput y = p.ww", "unknown-field", "ww"),
    ("a, b = v", "arity", "a, b"),
    ("a, b, c = (v, v)", "arity", "a, b, c"),
    ("a = (v, v)", "arity", "a"),
    # calls
    ("output y = sum(x, axes=0)", "surplus-argument", "axes"),
    ("output y = reshape(x)", "missing-argument", "reshape"),
    ("output y = sum(x, axis=2)", "bad-argument", "2"),
    ("output y = sum(x, axis=k)", "not-static", "k"),
    ("output y = sum(x, keepdims=1)", "bad-argument", "1"),
    ("def f(a) = a\noutput y = f(v, v)", "surplus-argument", "v"),
    ("def f(a) = a\noutput y = f(v, b=v)", "surplus-argument", "b"),
    ("def f(a, b) = a\noutput y = f(v)", "missing-argument", "f(v)"),
    ("def f(a) = f(a)\noutput y = f(v)", "recursion", "f(a)"),
    ("def f(a : f64[2]) = a\noutput y = f(v)", "shape-mismatch", "v"),
    ("def f(a : f32[t]) = a\noutput y = f(v)", "wrong-dtype", "v"),
    ("def f(a : f64) = a\noutput y = f(v)", "rank-mismatch", "v"),
    ("def f(a : f64[t], b : f64[t]) = a + b\noutput y = f(v, w)", "shape-mismatch", "w"),
    # shapes
    ("output y = v + w", "shape-mismatch", "+"),
    ("output y = x * w", "shape-mismatch", "*"),
    ("output y = x @ w", "shape-mismatch", "@"),
    ("input z : f64[m]\noutput y = sum(x, axis=1) + z", "dim-unproved", "+"),
    ("output y = concat([v, x])", "shape-mismatch", "concat"),
    ("output y = [v, w]", "shape-mismatch", "[v, w]"),
    ("output y = v[0, 1]", "rank-mismatch", "v[0, 1]"),
    ("output y = v[3]", "out-of-bounds", "v[3]"),
    ("output y = v[0:4]", "out-of-bounds", "v[0:4]"),
    ("output y = v[[0, 3]]", "out-of-bounds", "v[[0, 3]]"),
    ("output y = v[v]", "wrong-dtype", "v"),
    ("output y = v[v > 0]", "wrong-dtype", "v > 0"),
    ("output y = v[0.5]", "wrong-dtype", "0.5"),
    ("output y = x[k : k * 2]", "not-static", "k : k * 2"),
    ("output y = x[k :]", "not-static", "x"),
    ("output y = zeros([k])", "not-static", "k"),
    ("output y = v.T", "rank-mismatch", "v.T"),
    ("param u : f64[m] = 1", "dim-unbound", "m"),
    ("dim q > 1", "dim-unbound", "q"),
    ("dim n >= 4\ndim n == 3", "dim-contradiction", "dim n == 3"),
    # dtypes
    ("output y = f23(x)", "unknown-op", "f23"),
    ("input z : float32", "unknown-dtype", "float32"),
    ("output y = not v", "wrong-dtype", "v"),
    ("output y = v > 0 and v", "wrong-dtype", "v"),
    ("input u : u8\noutput y = u + 300", "literal-overflow", "300"),
    ("output y = 5000000000 * 5000000000", "literal-overflow", "5000000000 * 5000000000"),
    ("output y = 9 ** 9 ** 9", "literal-overflow", "**"),
    ("output y = 1 // 0", "bad-argument", "//"),
    ("output y = k with [0] = 1", "rank-mismatch", "k with [0] = 1"),
    ("output y = arange(3) with [0] = 0.5", "wrong-dtype", "arange(3) with [0] = 0.5"),
    ("output y = v + none", "wrong-type", "none"),
    ("output y = v + sum", "wrong-type", "sum"),
    ("p = (a = v)\noutput y = matmul(p, v)", "structure-mismatch", "p"),
    ("p = (a = v)\nq = (b = v)\nr = p + q\noutput y = r.a", "structure-mismatch", "q"),
    # derivatives
    ("output y = grad(x, x)", "not-scalar-loss", "x"),
    ("l = sum(x)\noutput y = grad(l, 2 * x)", "grad-of-expression", "2 * x"),
    ("l = sum(x) * k\noutput y = grad(l, k)", "integer-target", "k"),
    ("l = sum(x > 0)\noutput y = grad(l, x)", "integer-loss", "l"),
    ("output y = grad(sum(x))", "missing-argument", "grad(sum(x))"),
    ("output y = vjp(v, v, [1, 2])", "shape-mismatch", "[1, 2]"),
    ("def f(a) = sum(a)\noutput y = grad(f, x)", "wrong-type", "f"),
    # control
    ("output y = if v > 0 { v } else { -v }", "not-scalar-condition", "v > 0"),
    ("output y = if k { v } else { -v }", "wrong-dtype", "k"),
    ("output y = if k > 0 { v } else { w }", "branch-mismatch", "k > 0"),
    ("output y = scan a in 3 { yield a }", "rank-mismatch", "3"),
    ("output y = scan a in k { yield a }", "rank-mismatch", "k"),
    ("output y = scan a, b in v, w { yield a + b }", "shape-mismatch", "w"),
    ("output y = scan a in v carry s = 0 { yield a }", "carry-unbound", "s"),
    ("output y = scan a in v carry s = v { s = concat([s, s]) }", "carry-type", "s"),
    ("output y = for i in 0..3 carry s = v { s = concat([s, s]) }", "carry-type", "s"),
    ("output y = for i in 0..n carry s = 0 { s = s + i }", "not-static", "n"),
    ("output y = [i for i in 0..k]", "not-static", "k"),
    ("output y = scan a in v carry s = 0 {\n  s = a\n  s = a\n}", "duplicate-name", "s"),
    # declarations
    ("state s : f64 = sum(x)", "initial-value", "sum(x)"),
    ("input z : f64 = k", "initial-value", "k"),
    ("y = v\nupdate y = y + 1", "bad-update", "y"),
    ("update w = w + 1\nupdate w = w", "duplicate-update", "w"),
    ("update w = v", "shape-mismatch", "v"),
    ("update w = 1", "shape-mismatch", "1"),
    ("state c : i64 = 0\nupdate c = c + 0.5", "wrong-dtype", "c + 0.5"),
    ("const c = k", "not-static", "k"),
    ("param u : i64 = 0.5", "wrong-dtype", "0.5"),
    ("param u : f64[2] = [1, 2, 3]", "shape-mismatch", "[1, 2, 3]"),
    ("default f32", "misplaced-statement", "default f32"),
    ("use optimm", "no-such-file", "optimm"),
    ('use "layers.dfg" as layers', "no-such-file", '"layers.dfg"'),
    ("output f = sum", "wrong-type", "f"),
    # indexed statements
    ("z[i] = 2 * i\noutput z", "bad-index", "i"),
    ("z[i] = v[i] + w[i]\noutput z", "shape-mismatch", "i"),
    ("z[i] = x[i]\noutput z", "rank-mismatch", "x[i]"),
    ("z[i] = v[i] * v\noutput z", "rank-mismatch", "v"),
    ("def f(a) = a with vjp(ct) = (ct, ct)\noutput y = f(v)", "arity", "vjp"),
]


@pytest.mark.parametrize("text, code, primary", CASES, ids=[c[0] for c in CASES])
def test_the_first_error(text: str, code: str, primary: str) -> None:
    d = first_wrong(HEAD + text + "\n")
    assert d.code == code
    assert d.span is not None
    if primary == "vjp":
        assert "vjp" in d.span.text
    elif code == "not-static" and primary == "x":
        assert d.span.text in ("k", "k :", "x[k :]")
    else:
        assert d.span.text == primary


@pytest.mark.parametrize("text", [c[0] for c in CASES])
def test_a_fix_repairs_its_error(text: str) -> None:
    program = HEAD + text + "\n"
    for d in wrong(program):
        if d.fix is not None and d.fix.edits:
            repaired = d.fix.apply(program)
            try:
                load_text(repaired)
            except UserError as e:
                left = [(o.code, o.message) for o in e.diagnostics if o.severity == "error"]
                assert (d.code, d.message) not in left, repaired
                assert len(left) < len([o for o in wrong(program) if o.severity == "error"]), repaired


def test_every_error_of_a_file_in_one_run() -> None:
    found = wrong("input x : f64[n]\na = x + y1\nb = a * 2\nc = tahn(x)\nd = b + c\ne = x[0, 0]\noutput d, e, zz\n")
    assert [(d.code, d.span.text if d.span else "") for d in found] == [
        ("unknown-name", "y1"),
        ("unknown-op", "tahn"),
        ("rank-mismatch", "x[0, 0]"),
        ("unknown-name", "zz"),
    ]


def test_several_errors_inside_one_body() -> None:
    found = wrong("input x : f64[n]\ny = scan a in x {\n  b = a + q1\n  c = a + q2\n  yield b + c\n}\noutput y\n")
    assert [d.span.text for d in found if d.span] == ["q1", "q2"]


def test_a_mismatch_shows_both_origins() -> None:
    d = first_wrong("input x : f32[n, 20]\nparam w : f32[30] = 0.1\nh = x * w\n")
    assert d.message == "cannot broadcast f32[n, 20] with f32[30]"
    assert [(x.span.text, x.text) for x in d.labels] == [
        ("x * w", "these two axes are aligned, and neither is 1"),
        ("x", "`x` is f32[n, 20]: axis 1 is 20"),
        ("w", "`w` is f32[30]: axis 0 is 30"),
    ]
    assert [x.span.source.position(x.span.start)[0] for x in d.labels] == [3, 1, 2]


def test_an_unproved_size_comes_with_the_line_to_add() -> None:
    text = "input x : f64[n]\ninput y : f64[m]\noutput z = x + y\n"
    d = first_wrong(text)
    assert d.code == "dim-unproved" and d.fix is not None
    assert d.fix.apply(text) == "input x : f64[n]\ninput y : f64[m]\ndim n == m\noutput z = x + y\n"
    lowered(d.fix.apply(text))


def test_an_integer_target_is_shown_at_its_declaration() -> None:
    text = "input k : i64\nl = k ** 2.0\noutput g = grad(l, k)\n"
    d = first_wrong(text)
    assert d.code == "integer-target" and d.fix is not None
    assert [(x.span.text, x.span.start) for x in d.labels] == [("k", 6)]
    lowered(d.fix.apply(text))


def test_errors_inside_calls_show_the_chain() -> None:
    d = first_wrong("def g(a) = a @ a\ndef f(a) = g(a + 1)\ninput x : f64[3, 2]\noutput y = f(x)\n")
    assert d.code == "shape-mismatch" and d.span is not None and d.span.text == "@"
    assert [x.text for x in d.labels if "called" in x.text] == ["`g` is called here", "`f` is called here"]


def test_an_error_in_a_function_is_told_once() -> None:
    found = wrong("def f(a) = a + oops\ninput x : f64\noutput y = f(x)\noutput z = f(x + 1)\n")
    assert [d.code for d in found] == ["unknown-name"]


def test_a_disconnected_target_is_a_warning_and_zeros() -> None:
    made = lowered("input x : f64[3]\nparam w : f64[2] = 1\nl = sum(x)\noutput g = grad(l, w)\nl2 = sum(stop_gradient(w)) + sum(w > 0)\n")
    assert [d.code for d in made.warnings] == ["disconnected-target"]


def test_a_lossy_cast_is_a_warning() -> None:
    made = lowered("input k : i64\ninput x : f32[n]\noutput y = x * k\noutput z = sum(x) / n\n")
    assert [d.code for d in made.warnings] == ["lossy-cast"]


def test_too_many_values_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfg.frontend.lowering.calls.MAX_CALLS", 3000)
    doubling = "".join(f"def f{k}(x) = f{k - 1}(2 * x) + f{k - 1}(3 * x)\n" for k in range(1, 40))
    assert first_wrong(f"def f0(x) = x\n{doubling}input x : f64\noutput y = f39(x)\n").code == "too-large"


@pytest.mark.parametrize(("text", "code", "primary", "label", "words"), [
    ("s = scan a in x carry s = (a = 0.0, b = 1.0) { s = (a = s.a + a) }", "carry-type", "s", "s = (a", "a record of `a`, `b` and becomes a record of `a`"),
    ("s = for i in 0..2 carry s = (a = 0.0, b = (c = 1.0)) { s = (a = 0.0, b = (d = 1.0)) }", "carry-type", "s", "s = (a", "record of `a`, `b.d`"),
    ("r = if v[0] > 0 { (a = v, b = v) } else { (a = v, c = v) }", "branch-mismatch", "v[0] > 0", "(a = v, b", "`a`, `c`"),
    ("s = for a in x carry s = 0.0 { s = s + a }", "bad-argument", "x", None, "scan x_t in x"),
    ("s = scan a in x carry s = 0.0 {\n  t = a\n  s = s + t\n}\noutput y = t", "unknown-name", "t", "t", "known only there"),
    ("def f(a) {\n  middle = a\n  middle\n}\noutput y = f(x) + middle", "unknown-name", "middle", "middle", "known only there"),
    ("m = x > 0\nl = sum(x * m)\noutput g = grad(l, m)", "integer-target", "m", "m", "no derivative"),
    ("l = sum(x)\noutput g = grad(l, n)", "integer-target", "n", None, "is a size"),
    ("param w = (a = 1.0, b = 2)\nl = w.a * w.b\ng = grad(l, w)", "integer-target", "w", "w", "floating-point number"),
    ("param w = (a = 1.0, b = 2)\nl = w.a * w.b\ng = grad(l, params)", "integer-target", "params", "w", "`w.b` is i64"),
    ("l = sum(x)\noutput g = l.grad", "unknown-field", "grad", None, "`grad(l, w)`"),
    ("output y = vmap(x)", "unknown-op", "vmap", None, "scan x_t"),
    ("def f(a) {\n  pass\n}\noutput y = f(x)", "unknown-name", "pass", None, "ends with the value"),
])  # fmt: skip
def test_the_reason_and_the_way_out_are_told(text: str, code: str, primary: str, label: str | None, words: str) -> None:
    """One error, at its place, with the other place that it speaks of, and the words that help."""
    found = wrong("input x : f64[n]\ninput v : f64[3]\n" + text + "\n")
    (d,) = [d for d in found if d.severity == "error"]
    assert d.code == code
    assert d.span is not None and d.span.text == primary
    assert label is None or any(x.span.text.startswith(label) for x in d.labels)
    assert words in " ".join([d.message, d.help or "", *[x.text for x in d.labels]])


@pytest.mark.parametrize(("text", "names"), [
    ("def f(a) = a + nothing", ["nothing"]),
    ("def f(a) = nothing(a) + other", ["nothing", "other"]),
    ("def f(a) {\n  b = scan v in a carry s = nothing { s = s + v * more }\n  b\n} with vjp(ct, y) = ct * y * b2", ["nothing", "more", "b2"]),
    ("def f(a, k = 3) = if k > 2 { [a[i] for i in 0..k] } else { mean(a, axis=-1) * pi + inf }", []),
    ("def f(a : f64[p, q], g) -> f64[p] {\n  y[i] = sum(j: a[i, j] * j) * i\n  z : f64[p] = y\n  g(z, scale=p) + w[0] + sum(a.shape) + later(z)\n}\ndef later(t) = softmax(t)", []),
    ("def f(p, x) {\n  a, _ = scan _ in x carry s = (u = p.w, v = 1), k = 0 {\n    s = (u = s.u + k, v = s.v)\n    k = k + 1\n  }\n  a.u + total(params) + nn.linear(p, x)\n}\nuse nn", []),
    ("def f(x) = zeros([3], dtype=f32)[..., newaxis] + x[:, none, 1:]", []),
    ("def f(x) = print(x)", ["print"]),
])  # fmt: skip
def test_unknown_names_in_functions_that_nothing_calls(text: str, names: list[str]) -> None:
    program = "param w : f64[3] = 1\n" + text + "\noutput w\n"
    found = wrong(program) if names else load_text(program).warnings
    assert [(d.span.text if d.span else "") for d in found if d.severity == "error"] == names
    assert {d.code for d in found if d.severity == "error"} <= {"unknown-name", "unknown-op"}


@pytest.mark.parametrize(("statement", "hides"), [
    ("s = scan i in arange(3) carry s = zeros([3]) { s[i] = x[i] }", True),
    ("s = for i in 0..3 carry s = zeros([3]) { s[i] = x[i] }", True),
    ("s = scan v, k in x, arange(3) { t[k] = x[k] * v\n yield t }", True),
    ("s = scan i in arange(3) carry s = zeros([3]) { s[j] = x[j] * i }", False),
    ("i = 3\ns[i] = x[i]", False),
    ("def f(x) { z[i] = x[i]\n z }\ns = scan i in arange(3) { yield f(x) * i }", False),
])  # fmt: skip
def test_an_index_that_hides_the_loops_is_warned_of(statement: str, hides: bool) -> None:
    found = load_text(f"input x : f64[3]\n{statement}\noutput s\n").warnings
    assert [d.code for d in found] == ["hidden-index"] * hides
    assert all(d.severity == "warning" and d.labels for d in found)
