"""The corpus of operations through the adapter: values, gradients and Hessian-vector products of one case of each; and that the adapter computes nothing itself."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent
ADAPTER = HERE / "ops_adapter.py"
POLICY = {"ties", "trap", "fd-mismatch", "nonfinite-grad", "extremal"}
"""Tags of cases whose gradients are a matter of policy at a kink: tests/test_kinks.py has ours."""
NOISE = {"logcumsumexp/f64/000"}
"""Cases whose true Hessian-vector product is below 1e-300 (one element exceeds the others by 10,000): what the corpus holds is the rounding error of PyTorch's formula, 2e-12,
and the same test of ours is that it is below that."""
CASES = [json.loads(line) for line in (HERE / "data" / "cases.jsonl").read_text(encoding="utf-8").splitlines()]


@cache
def adapter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ops_adapter", ADAPTER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ops_adapter"] = module
    spec.loader.exec_module(module)
    return module


def decode(v: Any, inputs: dict[str, Any]) -> Any:
    """An attribute of a case as a Python value."""
    if isinstance(v, dict):
        if "f" in v:
            return float(v["f"])
        if "slice" in v:
            return slice(*v["slice"])
        return Ellipsis if "ellipsis" in v else inputs[v["arr"]]
    return [decode(i, inputs) for i in v] if isinstance(v, list) else v


def differs(made: Any, want: np.ndarray, tolerance: float) -> str | None:
    """In what an array is not the one wanted: shape, dtype, where it is not finite, or an error relative to the largest element."""
    a = np.asarray(made)
    if a.shape != want.shape:
        return f"shape {a.shape}, not {want.shape}"
    if a.dtype.kind != want.dtype.kind or (want.dtype.kind == "f" and a.dtype != want.dtype):
        return f"dtype {a.dtype}, not {want.dtype}"
    if want.dtype.kind != "f":
        return None if np.array_equal(a, want) else "other values"
    here, there = np.isfinite(a), np.isfinite(want)
    if not np.array_equal(here, there) or not np.array_equal(a[~here], want[~there], equal_nan=True):
        return "other places or kinds of inf and nan"
    if not there.any():
        return None
    error = float(np.max(np.abs(a[here] - want[there])) / max(float(np.max(np.abs(want[there]))), 1e-6))
    return None if error <= tolerance else f"an error of {error:.1e}"


def judge(case: dict[str, Any]) -> list[str]:
    """What is wrong with the adapter's answer to a case."""
    with np.load(HERE / "data" / "arrays" / f"{case['file']}.npz") as archive:
        arrays = dict(archive)
    prefix = case["id"].split("/", 1)[1].replace("/", ".")
    inputs = {k: [arrays[n] for n in v] if isinstance(v, list) else arrays[v] for k, v in case["inputs"].items()}
    attrs = {k: decode(v, inputs) for k, v in case["attrs"].items()}
    wrt = case.get("grads", [])
    cots = {i: arrays[f"{prefix}:cot{i}"] for i in case["cots"]} if wrt else None
    directions = {k: arrays[f"{prefix}:v:{k}"] for k in wrt} if case.get("hvp") else None
    made = adapter().run(case["op"], inputs, attrs, cots, wrt, directions)
    wanted = [arrays[f"{prefix}:out{i}"] for i in range(case["outs"])]
    found = [f"output {i}: {text}" for i, (a, w) in enumerate(zip(made["outs"], wanted, strict=True)) if (text := differs(a, w, case["tol"]))]
    if wrt and not POLICY & set(case["tags"]):
        for kind, key, tolerance in (("grads", "d", case["gtol"]), ("hv", "h", 100 * case["gtol"])):
            if kind == "hv" and directions is None:
                continue
            for k in wrt:
                want = arrays[f"{prefix}:{key}:{k}"]
                if kind == "hv" and case["id"] in NOISE:
                    assert np.all(np.abs(want) < 1e-11)
                    want = np.zeros_like(want)
                if text := differs(made[kind][k], want, tolerance):
                    found.append(f"{kind} of {k}: {text}")
    return found


@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_a_case_of_the_corpus(case: dict[str, Any]) -> None:
    assert judge(case) == []


def test_every_operation_is_there() -> None:
    assert len({c["op"] for c in CASES}) == len(CASES) == 235


def test_judging_finds_errors() -> None:
    one = np.array([1.0, 2.0])
    assert differs(one * (1 + 1e-9), one, 1e-10) and differs(one[:1], one, 1) and differs(one.astype(np.float32), one, 1)
    assert differs(np.array([1.0, np.nan]), one, 1) and differs(np.array([1, 2]), np.array([1, 3]), 1) and differs(one, one, 0) is None


COUNTED = {"asarray", "ascontiguousarray", "shape", "ndarray", "bool_", "number", "int64", "nonzero"}
"""What the adapter may ask of NumPy: containers, and the places where a known mask holds."""


def test_the_adapter_asks_numpy_for_no_mathematics() -> None:
    tree = ast.parse(ADAPTER.read_text(encoding="utf-8"))
    used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "np"}
    assert used <= COUNTED
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= {"__future__", "collections", "typing", "numpy", "dfg"}
    assert "numpy.linalg" not in imported and not any(isinstance(n, ast.Call) and getattr(n.func, "id", "") in ("__import__", "eval", "exec") for n in ast.walk(tree))


def test_the_adapter_works_where_it_cannot_import_linalg(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is executed anew with an `import` of its own that refuses, and a NumPy that has only what `COUNTED` names."""
    narrow = ModuleType("numpy")
    for name in COUNTED:
        setattr(narrow, name, getattr(np, name))
    real = builtins.__import__

    def importing(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if (globals or {}).get("__name__") == "narrow_adapter":
            if name.split(".")[0] in ("npref", "scipy") or name.startswith("numpy."):
                raise ImportError(name)
            if name == "numpy":
                return narrow
        return real(name, globals, locals, fromlist, level)

    module = ModuleType("narrow_adapter")
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": importing}
    exec(compile(ADAPTER.read_text(encoding="utf-8"), str(ADAPTER), "exec"), module.__dict__)
    with pytest.raises(ImportError):
        exec("import numpy.linalg", module.__dict__)
    rng = np.random.default_rng(5)
    x, b = rng.normal(size=(3, 3)) + 3 * np.eye(3), rng.normal(size=(3, 2))
    ct = rng.normal(size=(3, 2))
    made = module.run("solve", {"x": x, "b": b}, {}, {0: ct}, ["x", "b"], None)
    solution = np.linalg.solve(x, b)
    assert np.allclose(made["outs"][0], solution, rtol=1e-12)
    assert np.allclose(made["grads"]["b"], np.linalg.solve(x.T, ct), rtol=1e-10)
    assert np.allclose(made["grads"]["x"], -np.linalg.solve(x.T, ct) @ solution.T, rtol=1e-10)


@pytest.mark.parametrize("axis", [None, 0, -1, [0, 2], []])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("op", ["sum", "mean", "max", "min", "prod"])
def test_attributes_are_generic(op: str, dtype: Any, keepdims: bool, axis: Any) -> None:
    x = np.random.default_rng(3).uniform(0.5, 1.5, (2, 3, 2)).astype(dtype)
    made = adapter().run(op, {"x": x}, {"axis": axis, "keepdims": keepdims}, None, [], None)
    # Of an empty list of axes the corpus means all of them, but for `prod`, which then reduces none.
    axes = tuple(axis) if isinstance(axis, list) and (axis or op == "prod") else None if axis == [] else axis
    want = getattr(np, op)(x, axis=axes, keepdims=keepdims)
    assert differs(made["outs"][0], np.asarray(want), 1e-5 if dtype is np.float32 else 1e-12) is None
