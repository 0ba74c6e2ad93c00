"""ADBench's mixtures and bundle adjustments: the time of the gradient over the time of the objective, and against a gradient written by hand in NumPy.

The files are those of `examples/adbench/data`, and of the folder that `ADBENCH_DATA` names if it is set (ADBench's own `data`).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import dfg
from benchmarks.harness import ROOT, Report, in_turns

FOLDER = ROOT / "examples" / "adbench"
Arrays = Mapping[str, np.ndarray]
OBJECTIVE = {"gmm": ["f"], "ba": ["halfsq"]}
GRADIENT = {"gmm": ["df_dalphas", "df_dmeans", "df_dicf"], "ba": ["dhalfsq_dcams", "dhalfsq_dX", "dhalfsq_dw"]}


def load(path: Path) -> dict[str, np.ndarray]:
    """The inputs in one of ADBench's files, by the examples' own loader."""
    spec = importlib.util.spec_from_file_location("adbench_load", FOLDER / "load.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(path)


def files(size: str) -> list[Path]:
    found = sorted((FOLDER / "data").glob("*.txt"))
    if "ADBENCH_DATA" in os.environ:
        known = {p.stat().st_size for p in found}
        found += [p for p in sorted(Path(os.environ["ADBENCH_DATA"]).rglob("*.txt")) if p.stat().st_size not in known]
    return [p for p in found if size != "quick" or p.stat().st_size < 30_000]


def measure(report: Report, size: str) -> None:
    rows: list[list[object]] = []
    compiled: dict[tuple[str, bool], Any] = {}
    for path in files(size):
        inputs = load(path)
        kind = "ba" if "cams" in inputs else "gmm"
        program = dfg.load(FOLDER / f"{kind}.dfg")
        for whole in (False, True):
            if (kind, whole) not in compiled:
                compiled[kind, whole] = dfg.compile(program, outputs=OBJECTIVE[kind] + (GRADIENT[kind] if whole else []))
        objective, gradient = compiled[kind, False], compiled[kind, True]
        by_hand = {"gmm": mixture, "ba": bundle}[kind]
        agree(path.name, gradient(**inputs), by_hand(inputs))
        made: dict[str, Callable[[], Any]] = {
            "objective": bound(objective, inputs),
            "gradient": bound(gradient, inputs),
            "by hand": lambda f=by_hand, i=inputs: f(i),
        }
        times = {name: median for name, (median, _, _) in in_turns(made, 5 if size != "quick" else 3).items()}
        rows.append([f"{path.parent.name}/{path.stem}" if path.parent.name in ("1k", "10k") else path.stem, times["objective"] * 1e3, times["gradient"] * 1e3, times["gradient"] / times["objective"], times["by hand"] * 1e3,
                     times["gradient"] / times["by hand"]])  # fmt: skip
    report.table("objective and gradient, f64", ["file", "objective ms", "gradient ms", "gradient / objective", "by hand ms", "gradient / by hand"], rows)
    report.note(
        "`gradient` is the objective and all its gradient blocks; `by hand` is both written in NumPy by a person. Published ratios of gradient to objective "
        "(arXiv:1807.10129): hand-written C++ 1.9 to 7, Tapenade 4 to 15, Theano 3 to 9."
    )


def bound(fn: Any, inputs: Arrays) -> Callable[[], Any]:
    return lambda: fn(**inputs)


def agree(name: str, made: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray]) -> None:
    for key, w in want.items():
        if not np.max(np.abs(made[key] - w)) <= 1e-9 * max(np.max(np.abs(w)), 1e-300):
            raise SystemExit(f"{name}: `{key}` is not what the hand-written one gives")


# --- by hand -------------------------------------------------------------------------------------------------------------------------


def mixture(i: Arrays) -> dict[str, np.ndarray]:
    """The objective of the mixture and its gradients, written by hand."""
    alphas, means, icf, x, gamma, m = (i[n] for n in ("alphas", "means", "icf", "x", "gamma", "m"))
    (k, d), n = means.shape, len(x)
    q, l = icf[:, :d], icf[:, d:]
    columns, rows = np.triu_indices(d, 1)  # below the diagonal, column by column
    diagonal = np.arange(d)
    factor = np.zeros((k, d, d))
    factor[:, diagonal, diagonal] = np.exp(q)
    factor[:, rows, columns] = l
    centred = x[None] - means[:, None]  # k n d
    y = centred @ factor.transpose(0, 2, 1)
    sumq = q.sum(1)
    inner = (alphas + sumq)[:, None] - 0.5 * np.einsum("kni,kni->kn", y, y)
    top = inner.max(0)
    e = np.exp(inner - top)
    total = e.sum(0)
    share = e / total
    a = np.exp(alphas - alphas.max())
    freedom = d + m + 1
    from math import lgamma, log, pi

    gammas = d * (d - 1) / 4 * log(pi) + sum(lgamma(0.5 * freedom - j / 2) for j in range(d))
    constant = freedom * d * (log(gamma) - 0.5 * log(2)) - gammas
    scale = np.exp(q)
    prior = gamma**2 / 2 * (np.sum(scale**2) + np.sum(l**2)) - m * sumq.sum() - k * constant
    f = -n * d / 2 * log(2 * pi) + np.sum(np.log(total) + top) - n * (np.log(a.sum()) + alphas.max()) + prior
    dy = -share[:, :, None] * y
    dfactor = dy.transpose(0, 2, 1) @ centred
    counts = share.sum(1)
    dq = dfactor[:, diagonal, diagonal] * scale + counts[:, None] + gamma**2 * scale**2 - m
    dl = dfactor[:, rows, columns] + gamma**2 * l
    return {
        "f": np.asarray(f),
        "df_dalphas": counts - n * a / a.sum(),
        "df_dmeans": -np.einsum("kni,kij->kj", dy, factor, optimize=True),
        "df_dicf": np.concatenate([dq, dl], axis=1),
    }


def bundle(i: Arrays) -> dict[str, np.ndarray]:
    """Half the squared reprojection error and its gradients, written by hand."""
    cams, points, w, feats, camera, point = (i[n] for n in ("cams", "X", "w", "feats", "camera", "point"))
    c = cams[camera]
    r, focal, k1, k2 = c[:, 0:3], c[:, 6:7], c[:, 9:10], c[:, 10:11]
    p = points[point] - c[:, 3:6]

    def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sum(a * b, axis=1, keepdims=True)

    theta = np.sqrt(dot(r, r))
    v = r / theta
    cos, sin = np.cos(theta), np.sin(theta)
    across, along = np.cross(v, p), dot(v, p)
    y = p * cos + across * sin + v * along * (1 - cos)
    u = y[:, :2] / y[:, 2:]
    s = dot(u, u)
    radial = 1 + k1 * s + k2 * s**2
    miss = focal * radial * u + c[:, 7:9] - feats
    e = w[:, None] * miss
    g = 1 - w**2
    dproject = w[:, None] * e
    dradial = focal * dot(dproject, u)
    du = focal * radial * dproject + 2 * dradial * (k1 + 2 * k2 * s) * u
    dy = np.concatenate([du / y[:, 2:], -dot(du, u) / y[:, 2:]], axis=1)
    dacross = dy * sin
    dalong = dot(dy, v) * (1 - cos)
    dtheta = dot(dy, across * cos - p * sin + v * along * sin)
    dv = dy * along * (1 - cos) + dalong * p + np.cross(p, dacross)
    dp = dy * cos + dalong * v + np.cross(dacross, v)
    dr = (dv + (dtheta * theta - dot(dv, v)) * v) / theta
    dc = np.concatenate([dr, -dp, radial * dot(dproject, u), dproject, dradial * s, dradial * s**2], axis=1)
    dcams, dpoints = np.zeros_like(cams), np.zeros_like(points)
    np.add.at(dcams, camera, dc)
    np.add.at(dpoints, point, dp)
    return {
        "halfsq": np.asarray(0.5 * (np.sum(e**2) + np.sum(g**2))),
        "dhalfsq_dcams": dcams,
        "dhalfsq_dX": dpoints,
        "dhalfsq_dw": dot(e, miss)[:, 0] - 2 * w * g,
    }
