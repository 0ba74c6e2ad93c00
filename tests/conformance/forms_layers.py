"""More forms of the ops that move, index, convolve, pool, normalise and lose: see `forms_more`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.conformance.forms import Form, Rng, draw
from tests.conformance.forms_more import both, more, pick, shape_of, stretched

# --- shapes ------------------------------------------------------------------------------------------------------------------------------


@more("reshape", "transpose", "swapaxes", "moveaxis", "broadcast_to", "squeeze", "flatten", "expand_dims", "flip", "roll", "rot90", "tile", "repeat", "unstack", "tril", "triu")
def moving(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(8):
        s = shape_of(rng, int(rng.integers(0, 6)), 0 if op != "repeat" else 1, 4)
        r = len(s)
        x = draw(rng, s)
        axis = int(rng.integers(-r, r)) if r else 0
        order = [int(a) - (r if rng.random() < 0.5 else 0) for a in rng.permutation(r)]
        attrs: dict[str, Any]
        match op:
            case "reshape":
                attrs = {"shape": pick(rng, [-1] if 0 not in s else [0], list(reversed(s)), [*s, 1], [1, 1, *s])}
            case "transpose":
                attrs = {"axes": order}
            case "swapaxes":
                attrs = {"axis1": axis, "axis2": int(rng.integers(-r, r)) if r else 0}
            case "moveaxis":
                k = int(rng.integers(0, r + 1))
                destination = [int(a) for a in rng.permutation(r)[:k]]
                attrs = {"source": order[:k], "destination": destination}
                if k == 1 and rng.random() < 0.5:
                    attrs = {"source": order[0], "destination": destination[0]}
            case "broadcast_to":
                x = draw(rng, stretched(rng, s))
                attrs = {"shape": list(s)}
            case "squeeze":
                x = draw(rng, tuple(1 if rng.random() < 0.5 else d for d in s))
                attrs = pick(rng, {}, {"axis": order[:2]}, {"axis": axis}, {"axis": []})
            case "flatten":
                a, b = sorted((axis % r, int(rng.integers(0, r)))) if r else (0, 0)
                attrs = {"start": a - (r if rng.random() < 0.5 else 0) if r else 0, "end": b - (r if rng.random() < 0.5 else 0) if r else -1}
                if 0 in s:
                    continue
            case "expand_dims":
                attrs = {"axis": pick(rng, int(rng.integers(-r - 1, r + 1)), [0, -1], [1, 0] if r else [0])}
            case "flip":
                attrs = {"axis": order[: int(rng.integers(0, r + 1))]}
            case "roll":
                n = int(rng.integers(1, r + 1)) if r else 0
                attrs = pick(rng, {"shift": int(rng.integers(-5, 6))}, {"shift": [int(v) for v in rng.integers(-5, 6, n)], "axis": order[:n]}) if r else {"shift": 3}
            case "rot90":
                if r < 2:
                    continue
                attrs = pick(rng, {}, {"k": int(rng.integers(-5, 6)), "axes": order[:2]})
            case "tile":
                attrs = {"reps": [int(v) for v in rng.integers(0, 4, int(rng.integers(0, 5)))]}
            case "repeat":
                attrs = {"repeats": pick(rng, 0, 1, 3)} if not r else pick(
                    rng, {"repeats": 2}, {"repeats": [int(v) for v in rng.integers(0, 3, s[axis])], "axis": axis}, {"repeats": 0, "axis": axis}, {"repeats": [2], "axis": axis},
                    {"repeats": [int(v) for v in rng.integers(0, 3, x.size)]},
                )  # fmt: skip
            case "unstack":
                if not r:
                    continue
                attrs = {"axis": axis}
            case _:
                if r < 2:
                    continue
                attrs = {"k": int(rng.integers(-4, 5))}
        if op == "unstack" and s[axis] == 0:
            continue
        yield from both({"x": x}, attrs, ["x"])


@more("concat", "stack", "hstack", "vstack", "meshgrid")
def joining(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(8):
        count = int(rng.integers(1, 5))
        s = shape_of(rng, int(rng.integers(1 if op == "concat" else 0, 4)), 0, 4)
        attrs: dict[str, Any] = {}
        shapes = [s] * count
        if op in ("concat", "stack"):
            attrs = {"axis": int(rng.integers(-len(s) - (op == "stack"), len(s) + (op == "stack")))}
        joined = attrs.get("axis", 0) % len(s) if op == "concat" else {"hstack": 1, "vstack": 0}.get(op, -1) if len(s) > 1 else 0 if op == "hstack" else -1
        if op in ("concat", "hstack", "vstack") and s and joined >= 0:
            shapes = [tuple(int(rng.integers(0, 4)) if i == joined else d for i, d in enumerate(s)) for _ in range(count)]
        if op == "concat" and rng.random() < 0.3 and len(s) > 1:
            shapes = [(0,), *shapes]
        if op == "meshgrid":
            shapes = [pick(rng, (), (1,), (2,), (3,), (0,)) for _ in range(count)]
            attrs = {"indexing": pick(rng, "xy", "ij")}
        # An operand of shape (0,) among others is left out.
        yield from both({"xs": [draw(rng, t) for t in shapes]}, attrs, [f"xs.{k}" for k, t in enumerate(shapes) if t != (0,)])


@more("one_hot", "embedding", "take_flat", "take", "take_along_axis", "gather", "scatter_add", "scatter_set", "index_add")
def picking(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(8):
        s = shape_of(rng, int(rng.integers(1, 5)), 1, 5)
        r = len(s)
        x = draw(rng, s)
        axis = int(rng.integers(-r, r))
        n = s[axis]
        kind = pick(rng, np.int64, np.int64, np.int32)
        part = tuple(int(rng.integers(1, d + 1)) if i != axis % r else int(rng.integers(0, 6)) for i, d in enumerate(s))
        match op:
            case "one_hot":
                yield {"x": rng.integers(0, 4, s).astype(kind)}, {"n": int(rng.integers(1, 6))}, []
            case "embedding":
                w = draw(rng, (5, *s[1:]))
                yield from both({"w": w, "index": np.asarray(rng.integers(-5, 5, shape_of(rng, int(rng.integers(0, 3)), 0, 4))).astype(kind)}, {}, ["w"])
            case "take_flat":
                yield from both({"x": x, "index": np.asarray(rng.integers(-x.size, x.size, shape_of(rng, int(rng.integers(0, 3)), 0, 4))).astype(kind)}, {}, ["x"])
            case "take":
                yield from both({"x": x, "index": np.asarray(rng.integers(-n, n, shape_of(rng, int(rng.integers(0, 3)), 0, 4))).astype(kind), }, {"axis": axis}, ["x"])
                yield {"x": draw(rng, ()), "index": np.zeros((1,), kind)}, {"axis": 0}, ["x"]
            case "take_along_axis":
                wide = tuple(int(rng.integers(0, 5)) if i == axis % r else pick(rng, d, d, 1) for i, d in enumerate(s))
                yield from both({"x": x, "index": rng.integers(-n, n, wide)}, {"axis": axis}, ["x"])
                yield from both({"x": x, "index": rng.integers(0, x.size, (3,))}, {"axis": None}, ["x"])
                yield {"x": draw(rng, tuple(1 if i != axis % r else d for i, d in enumerate(s))), "index": rng.integers(0, n, wide)}, {"axis": axis}, ["x"]
            case "gather":
                yield from both({"x": x, "index": rng.integers(0, n, part).astype(kind)}, {"axis": axis}, ["x"])
                yield {"x": draw(rng, ()), "index": np.zeros(pick(rng, (), (1,)), kind)}, {"axis": 0}, ["x"]
            case "scatter_add":
                src = tuple(d + int(rng.integers(0, 2)) for d in part)
                yield from both({"x": x, "index": rng.integers(0, n, part).astype(kind), "src": draw(rng, src)}, {"axis": axis}, ["x", "src"])
                yield {"x": draw(rng, ()), "index": np.zeros((1,), kind), "src": draw(rng, (1,))}, {"axis": 0}, ["x", "src"]
            case "scatter_set":
                index = np.argsort(rng.random(s), axis)[tuple(slice(0, d) for d in part)]
                yield from both({"x": x, "index": index.astype(kind), "src": draw(rng, tuple(d + int(rng.integers(0, 2)) for d in index.shape))}, {"axis": axis}, ["x", "src"])
                yield {"x": draw(rng, ()), "index": np.zeros((), kind), "src": draw(rng, ())}, {"axis": 0}, ["x", "src"]
            case _:
                rows = tuple(4 if i == axis % r else d for i, d in enumerate(s))
                yield from both({"x": x, "index": rng.integers(0, n, (4,)).astype(kind), "src": draw(rng, rows)}, {"axis": axis, "alpha": pick(rng, 1, -2, 0.5)}, ["x", "src"])


def item(rng: Rng, n: int, form: str, taken: tuple[int, ...]) -> Any:
    """One index along an axis of n elements."""
    match form:
        case "int":
            return int(rng.integers(-n, n))
        case "slice":
            a, b = (int(v) for v in rng.integers(-n - 2, n + 3, 2))
            return slice(pick(rng, None, a), pick(rng, None, b), pick(rng, None, 1, 2, -1, -2, 3))
        case "mask":
            return rng.random(n) < 0.6
        case _:
            return rng.integers(-n, n, taken)


@more("getitem", "setitem")
def indexing(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(24):
        s = shape_of(rng, int(rng.integers(1, 5)), 1, 5)
        taken = shape_of(rng, int(rng.integers(0, 3)), 1, 4)
        index: list[Any] = []
        masks = 0
        for n in s[: int(rng.integers(1, len(s) + 1))]:
            form = pick(rng, "int", "slice", "slice", "array", "mask" if not masks else "slice")
            masks += form == "mask"
            index.append(item(rng, n, form, taken if not masks else ()))
        if rng.random() < 0.3:
            index.insert(int(rng.integers(0, len(index) + 1)), None)
        if rng.random() < 0.3:
            index = index + [Ellipsis] if rng.random() < 0.5 or len(index) < len(s) else [Ellipsis, *index]
        x = draw(rng, s)
        try:
            shape = x[tuple(index)].shape
        except IndexError:
            continue
        inputs: dict[str, Any] = {"x": x}
        inputs |= {f"i{k}": a for k, a in enumerate([a for a in index if isinstance(a, np.ndarray)])}
        if op == "getitem":
            yield from both(inputs, {"index": index}, ["x"])
            continue
        accumulate = bool(rng.random() < 0.5)
        places = np.arange(x.size).reshape(s)[tuple(index)]
        if not accumulate and len(set(places.ravel().tolist())) != places.size:
            accumulate = True
        yield from both({**inputs, "src": draw(rng, pick(rng, shape, stretched(rng, shape)))}, {"index": index, "accumulate": accumulate}, ["x", "src"])
    mask = rng.random((2, 3)) < 0.5
    for index in ([mask], [mask, 1], [Ellipsis, rng.random(4) < 0.5], [slice(None), rng.random((3, 4)) < 0.5]):
        x = draw(rng, (2, 3, 4))
        inputs = {"x": x, **{f"i{k}": a for k, a in enumerate([a for a in index if isinstance(a, np.ndarray)])}}
        yield (inputs if op == "getitem" else {**inputs, "src": draw(rng, ())}), {"index": index}, ["x"] if op == "getitem" else ["x", "src"]
    kept = rng.random((2, 3)) < 0.5
    if op == "getitem":
        yield {"x": kept, "i0": np.array([1, 0, 1])}, {"index": [np.array([1, 0, 1])]}, []
        yield {"x": rng.integers(0, 9, (4,))}, {"index": [[0, 2, -1]]}, []


@more("sliding_window", "split", "chunk", "pad", "diag", "diagonal", "diag_embed", "glu")
def pieces(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(8):
        s = shape_of(rng, int(rng.integers(1, 5)), 1, 6)
        r = len(s)
        axis = int(rng.integers(-r, r))
        n = s[axis]
        attrs: dict[str, Any]
        match op:
            case "sliding_window":
                attrs = {"axis": axis, "size": int(rng.integers(1, n + 1)), "step": int(rng.integers(1, 4))}
            case "split":
                first = int(rng.integers(0, n + 1))
                attrs = {"axis": axis, "size": pick(rng, int(rng.integers(1, n + 2)), [first, n - first], [0, first, n - first])}
            case "chunk":
                attrs = {"axis": axis, "n": int(rng.integers(1, n + 3))}
            case "pad":
                mode = pick(rng, "constant", "constant", "reflect", "edge", "wrap")
                low = -1 if mode == "constant" else 0
                attrs = {"pad_width": [[int(rng.integers(low, 4)), int(rng.integers(low, 4))] for _ in s], "mode": mode}
                if mode == "constant":
                    s = tuple(d + 2 for d in s)
                    attrs["value"] = float(pick(rng, 0, 1.5, -2))
            case "diag":
                s = s[:2]
                attrs = {"k": int(rng.integers(-3, 4))}
            case "diagonal":
                s = (*s, 3)
                a, b = (int(v) for v in rng.permutation(len(s))[:2])
                attrs = {"offset": int(rng.integers(-4, 5)), "axis1": a - (len(s) if rng.random() < 0.5 else 0), "axis2": b}
            case "diag_embed":
                a, b = (int(v) for v in rng.permutation(r + 1)[:2])
                attrs = {"offset": int(rng.integers(-3, 4)), "axis1": a - (r + 1 if rng.random() < 0.5 else 0), "axis2": b}
            case _:
                s = tuple(2 * d if i == axis % r else d for i, d in enumerate(s))
                attrs = {"axis": axis}
        yield from both({"x": draw(rng, s)}, attrs, ["x"])


# --- layers ------------------------------------------------------------------------------------------------------------------------------


@more("conv1d", "conv2d", "conv_transpose2d")
def convolutions(op: str, rng: Rng) -> Iterator[Form]:
    n = 1 if op == "conv1d" else 2
    for _ in range(14):
        groups = int(pick(rng, 1, 1, 2, 3))
        c, o = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
        kernel = shape_of(rng, n, 1, 4)
        stride, dilation = shape_of(rng, n, 1, 4), shape_of(rng, n, 1, 3)
        padding: Any = [int(v) for v in rng.integers(0, 3, n)]
        transposed = op == "conv_transpose2d"
        if transposed:
            padding = [min(p, (d * (k - 1)) // 2) for p, d, k in zip(padding, dilation, kernel, strict=True)]
        elif rng.random() < 0.3:
            padding = pick(rng, "same", "valid")
            stride = (1,) * n if padding == "same" else stride
        size = tuple(int(v) + d * (k - 1) for v, k, d in zip(rng.integers(1, 5, n), kernel, dilation, strict=True))
        x = draw(rng, (*pick(rng, (), (1,), (2,), (0,)), c, *size))
        w = draw(rng, (c, o // groups, *kernel) if transposed else (o, c // groups, *kernel))
        attrs: dict[str, Any] = {"stride": pick(rng, list(stride), stride[0]) if padding != "same" else 1, "padding": padding, "dilation": list(dilation), "groups": groups}
        if transposed:
            step = attrs["stride"] if isinstance(attrs["stride"], list) else [attrs["stride"]] * n
            attrs["output_padding"] = [int(rng.integers(0, max(a, b))) for a, b in zip(step, dilation, strict=True)]
        smooth = ["x", "w"] if x.size else []
        yield from both({"x": x, "w": w}, attrs, smooth)
        yield {"x": x, "w": w, "b": draw(rng, (o,))}, attrs, [*smooth, "b"] if smooth else []


@more("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "im2col")
def windows(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(14):
        kernel = shape_of(rng, 2, 1, 4)
        dilation = shape_of(rng, 2, 1, 3) if op in ("max_pool2d", "im2col") else (1, 1)
        size = tuple(int(v) + d * (k - 1) for v, k, d in zip(rng.integers(1, 5, 2), kernel, dilation, strict=True))
        x = draw(rng, (*pick(rng, (), (1,), (2,)), 2, *size))
        if op == "adaptive_avg_pool2d":
            yield from both({"x": x}, {"output_size": pick(rng, int(rng.integers(1, 6)), [int(v) for v in rng.integers(1, 6, 2)], [None, 2], [3, None])}, ["x"])
            continue
        attrs: dict[str, Any] = {"kernel_size": pick(rng, list(kernel), kernel[0] if kernel[0] == kernel[1] and dilation[0] == dilation[1] else list(kernel))}
        attrs["stride"] = pick(rng, int(rng.integers(1, 4)), [int(v) for v in rng.integers(1, 4, 2)], *([None] if op != "im2col" else []))
        if attrs["stride"] is None:
            del attrs["stride"]
        attrs["padding"] = [int(rng.integers(0, k // 2 + 1)) for k in kernel]
        if op in ("max_pool2d", "im2col"):
            attrs["dilation"] = list(dilation)
        else:
            attrs |= pick(rng, {}, {"count_include_pad": False}, {"divisor_override": 3}, {"count_include_pad": True, "divisor_override": None})
        yield from both({"x": x}, attrs, ["x"])


@more("layer_norm", "rms_norm", "batch_norm", "group_norm")
def norms(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(8):
        eps = float(pick(rng, 1e-5, 0.5, 1e-3))
        extra: dict[str, np.ndarray] = {}
        given = [k for k in ("weight", "bias") if rng.random() < 0.5 and (op, k) != ("rms_norm", "bias")]
        if op in ("layer_norm", "rms_norm"):
            s = shape_of(rng, int(rng.integers(1, 5)), 1, 4)
            tail = s[int(rng.integers(0, len(s))) :]
            attrs: dict[str, Any] = {"normalized_shape": list(tail), "eps": pick(rng, eps, *([None] if op == "rms_norm" else []))}
            extra = {k: draw(rng, tail) for k in given}
        else:
            groups = int(rng.integers(1, 3))
            c = groups * int(rng.integers(1, 4))
            s = (int(rng.integers(2, 4)), c, *shape_of(rng, int(rng.integers(0, 4)), 2, 4))
            extra = {k: draw(rng, (c,)) for k in given}
            attrs = {"num_groups": groups, "eps": eps}
            if op == "batch_norm":
                training = bool(rng.random() < 0.5)
                attrs = {"training": training, "eps": eps}
                if not training:
                    extra |= {"running_mean": draw(rng, (c,)), "running_var": draw(rng, (c,), 0.5, 2)}
        yield from both({"x": draw(rng, s), **extra}, attrs, ["x", *extra])


@more("mse_loss", "huber_loss", "smooth_l1_loss", "kl_div", "bce_with_logits")
def losses(op: str, rng: Rng) -> Iterator[Form]:
    for reduction in ("none", "mean", "sum", "batchmean"):
        if reduction == "batchmean" and op != "kl_div":
            continue
        for _ in range(4):
            s = shape_of(rng, int(rng.integers(0, 5)), 1, 4)
            attrs: dict[str, Any] = {"reduction": reduction}
            inputs = {"x": draw(rng, s), "y": draw(rng, s, 0.1, 0.9) if op in ("kl_div", "bce_with_logits") else draw(rng, s)}
            if op == "huber_loss":
                attrs["delta"] = float(pick(rng, 1, 0.4, 3))
            if op == "smooth_l1_loss":
                attrs["beta"] = pick(rng, 1.0, 0.4, 0, 3)
            if op == "kl_div":
                attrs["log_target"] = bool(rng.random() < 0.5)
            if op == "bce_with_logits":
                inputs |= {k: draw(rng, stretched(rng, s), 0.2, 2) for k in ("weight", "pos_weight") if rng.random() < 0.5}
            yield from both(inputs, attrs, list(inputs))
        yield {"x": draw(rng, (2, 3)), "y": draw(rng, (3,), 0.1, 0.9)}, {"reduction": reduction}, ["x", "y"]


@more("sdpa")
def attention(op: str, rng: Rng) -> Iterator[Form]:
    for lead in ((), (2,), (2, 3), (1, 2)):
        for _ in range(4):
            t, u, d, e = shape_of(rng, 4, 1, 5)
            inputs: dict[str, Any] = {"q": draw(rng, (*lead, t, d)), "k": draw(rng, (*lead, u, d)), "v": draw(rng, (*lead, u, e))}
            smooth = ["q", "k", "v"]
            attrs: dict[str, Any] = {"scale": float(rng.uniform(0.2, 2))} if rng.random() < 0.5 else {}
            form = pick(rng, "none", "causal", "bool", "float")
            if form == "causal":
                attrs["is_causal"] = True
            if form == "bool":
                mask = np.asarray(rng.random((*stretched(rng, lead), t, u)) < 0.6)
                mask[..., 0] = True
                inputs["mask"] = mask
            if form == "float":
                inputs["mask"] = draw(rng, pick(rng, (t, u), (*lead, t, u), (1, u)))
                smooth = [*smooth, "mask"]
            yield from both(inputs, attrs, smooth)


@more("cosine_similarity", "normalize")
def directions(op: str, rng: Rng) -> Iterator[Form]:
    for _ in range(8):
        s = shape_of(rng, int(rng.integers(1, 5)), 1, 4)
        axis = int(rng.integers(-len(s), len(s)))
        if op == "normalize":
            attrs = {"axis": axis, "p": pick(rng, 2.0, 1.0, 3, math.inf, 0.5), "eps": float(pick(rng, 1e-12, 0.7))}
            yield from both({"x": draw(rng, s)}, attrs, ["x"])
        else:
            other = tuple(1 if rng.random() < 0.3 else d for d in s)
            yield from both({"x": draw(rng, s), "y": draw(rng, other)}, {"axis": axis, "eps": float(pick(rng, 1e-8, 0.7))}, ["x", "y"])


@more("cross_entropy", "nll_loss")
def classes(op: str, rng: Rng) -> Iterator[Form]:
    for reduction, ignored, weighted in itertools.product(("mean", "sum", "none"), (False, True), (False, True)):
        for s in [(4, 3), (3, 4, 2), (2, 3, 2, 2), (5,), (2, 3, 2, 1, 2)]:
            c = s[1] if len(s) > 1 else s[0]
            target = np.asarray(rng.integers(0, c, (s[0], *s[2:]) if len(s) > 1 else ()))
            attrs: dict[str, Any] = {"reduction": reduction}
            if ignored:
                attrs["ignore_index"] = pick(rng, -100, -1, 0)
                if len(s) > 1:
                    target.flat[0], target.flat[1] = attrs["ignore_index"], 1
                elif int(target) == attrs["ignore_index"] and reduction == "mean":
                    continue
            inputs = {"x": draw(rng, s), "target": target}
            if weighted:
                inputs["weight"] = draw(rng, (c,), 0.2, 2)
            yield from both(inputs, attrs, ["x", *(["weight"] if weighted and len(s) > 1 else [])])
