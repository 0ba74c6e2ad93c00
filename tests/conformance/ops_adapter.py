"""An adapter between the conformance corpus of operations and dfg: `run` builds the graph of one case, compiles it and runs it.

It renames and orders arguments, and normalises what only the corpus's source has (axes of scalars, an empty list for all axes); every value comes from the compiled program.
Gradients are `vjp` ops of the graph, Hessian-vector products `vjp` ops of those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import dfg.frontend.prelude
import dfg.ops.functions  # noqa: F401 - fills the table of functions
from dfg.api import compile as compile_program
from dfg.dims import DimLike, Facts
from dfg.ir import Graph, Value
from dfg.ops.base import OPS
from dfg.ops.calculus import emit_vjp
from dfg.ops.indexing import ELLIPSIS, NEWAXIS, Window, getitem, put
from dfg.ops.surface import FUNCTIONS, Literal, Surface, call
from dfg.types import BOOL, TensorType, from_numpy

TABLE: dict[str, Callable[..., Any]] = {}


class Case:
    """The graph of one case; its attributes are the surface functions."""

    def __init__(self) -> None:
        self.graph = Graph(Facts())
        self.cx = Surface(self.graph)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in FUNCTIONS:
            raise NotImplementedError(name)

        def f(*args: Any, **kwargs: Any) -> Any:
            return call(self.cx, name, [self.given(a) for a in args], {k: self.given(v) for k, v in kwargs.items()})

        return f

    def constant(self, x: Any) -> Value:
        """A number or an array of numbers as a constant of the dtype that its kind has by default."""
        made = x if isinstance(x, Literal) else Literal.of(x)
        return self.cx.literal(made, self.cx.default(made.kind))

    def first(self, *names: str) -> Callable[..., Any]:
        """The first of several names that there is."""
        return getattr(self, next((n for n in names if n in FUNCTIONS), names[0]))

    def given(self, x: Any) -> Any:
        """Numbers as literals, lists as tuples, whatever else as it is."""
        if isinstance(x, bool | np.bool_ | str) or x is None:
            return x
        if isinstance(x, int | float | np.number):
            return Literal.of(x)
        if isinstance(x, list) and x and isinstance(x[0], Value):
            return x
        return tuple(x) if isinstance(x, list) else x


def op(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def declare(f: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            TABLE[name] = f
        return f

    return declare


def renamed(names: str) -> None:
    """`corpus=dfg` pairs (or one name for both) whose arguments agree in order."""
    for pair in names.split():
        theirs, _, ours = pair.partition("=")
        TABLE[theirs] = lambda c, *args, _ours=(ours or theirs), **kw: getattr(c, _ours)(*args, **kw)


def over(axis: Any, x: Value) -> Any:
    """An axis argument: a scalar has none, an empty list means all."""
    if x.rank == 0 or axis == []:
        return None
    return tuple(axis) if isinstance(axis, list) else axis


def number(x: Any) -> Any:
    """A number, bools too, where an operand may stand."""
    return Literal.of(x) if isinstance(x, bool | np.bool_ | int | float | np.number) else x


def plain(x: Any) -> Any:
    """A list of one number as the number."""
    return x[0] if isinstance(x, list | tuple) and len(x) == 1 else x


def lifted(c: Case, f: Callable[..., Any], *xs: Any) -> Any:
    """A function of tensors with an axis, of scalars: each as a vector of one element."""
    if any(x.rank for x in xs if isinstance(x, Value)):
        return f(*xs)
    made = f(*(c.reshape(x, [1]) for x in xs))
    return tuple(c.reshape(m, []) for m in made) if isinstance(made, tuple) else c.reshape(made, [])


# --- elementwise -----------------------------------------------------------------------------------------------------------------------

renamed(
    "abs exp exp2 expm1 log log2 log10 log1p sqrt square reciprocal sin cos tan sinh cosh tanh sign floor ceil trunc isnan isfinite isinf signbit deg2rad rad2deg "
    "positive sinc neg=negative asin acos atan asinh acosh atanh rsqrt frac sigmoid erf erfc erfinv erfcx lgamma=gammaln digamma i0 i0e i1 ndtr ndtri log_ndtr entr "
    "relu relu6 softsign silu mish logsigmoid hardsigmoid hardswish tanhshrink selu "
    "mul=multiply div=divide floor_divide remainder fmod pow=power maximum minimum fmax fmin atan2 hypot logaddexp logaddexp2 copysign xlogy xlog1py heaviside "
    "eq=equal ne=not_equal lt=less le=less_equal gt=greater ge=greater_equal ldexp gammainc"
)


def keyworded(names: str) -> None:
    """Ops whose inputs come by name, and whose attributes have our names."""
    for pair in names.split():
        theirs, _, ours = pair.partition("=")
        TABLE[theirs] = lambda c, *args, _ours=(ours or theirs), **kw: getattr(c, _ours)(*args, **kw)


keyworded(
    "round gelu elu celu leaky_relu hardtanh softshrink hardshrink logit nan_to_num isclose addcmul addcdiv lerp matmul outer inner dot kron mse_loss huber_loss smooth_l1_loss "
    "kl_div bce_with_logits layer_norm rms_norm batch_norm group_norm tril triu cdist embedding reshape broadcast_to"
)


@op("logical_and", "logical_or", "logical_xor")
def logical(c: Case, x: Value, y: Value, *, name: str) -> Value:
    return getattr(c, name)(c.astype(x, BOOL), c.astype(y, BOOL))


@op("logical_not")
def logical_not(c: Case, x: Value) -> Value:
    return c.logical_not(c.astype(x, BOOL))


@op("add")
def add(c: Case, x: Value, y: Value, alpha: Any = 1) -> Value:
    return c.add(x, y if alpha == 1 else c.multiply(alpha, y))


@op("sub")
def sub(c: Case, x: Value, y: Value, alpha: Any = 1) -> Value:
    return c.subtract(x, y if alpha == 1 else c.multiply(alpha, y))


@op("polygamma")
def polygamma(c: Case, x: Value, n: int = 1) -> Value:
    return c.polygamma(n, x)


@op("mvlgamma")
def mvlgamma(c: Case, x: Value, p: int = 1) -> Value:
    return c.multigammaln(x, p)


@op("softplus")
def softplus(c: Case, x: Value, beta: Any = 1, threshold: Any = 20) -> Value:
    return c.softplus(x, beta, threshold)


@op("glu")
def glu(c: Case, x: Value, axis: int = -1) -> Value:
    return c.glu(x, axis)


@op("where")
def where(c: Case, cond: Any, x: Any, y: Any) -> Value:
    held = cond if isinstance(cond, Value) else c.constant(cond)
    return c.where(held if held.dtype is BOOL else c.astype(held, BOOL), number(x), number(y))


@op("masked_fill")
def masked_fill(c: Case, x: Value, mask: Value, value: Any) -> Value:
    return c.masked_fill(x, mask, number(value))


@op("clip")
def clip(c: Case, x: Value, lo: Any = None, hi: Any = None) -> Value:
    return c.clip(x, lo, hi)


# --- reductions and scans --------------------------------------------------------------------------------------------------------------


@op("sum", "mean", "max", "min", "any", "all", "nansum", "prod", "logsumexp", "argmax", "argmin")
def reduction(c: Case, x: Value, axis: Any = None, keepdims: bool = False, *, name: str) -> Value:
    # Of these two the corpus's source reduces over no axis where the list is empty.
    return getattr(c, name)(x, axis=() if axis == [] and x.rank and name in ("prod", "logsumexp") else over(axis, x), keepdims=keepdims)


@op("count_nonzero")
def count_nonzero(c: Case, x: Value, axis: Any = None) -> Value:
    return c.count_nonzero(x, axis=over(axis, x))


@op("var", "std")
def spread(c: Case, x: Value, axis: Any = None, keepdims: bool = False, correction: Any = 1, *, name: str) -> Value:
    return getattr(c, name)(x, axis=over(axis, x), correction=correction, keepdims=keepdims)


@op("vector_norm")
def vector_norm(c: Case, x: Value, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Value:
    return c.vector_norm(x, axis=() if axis == [] else over(axis, x), keepdims=keepdims, ord=ord)  # an empty list: each element alone


@op("matrix_norm")
def matrix_norm(c: Case, x: Value, ord: Any = "fro", keepdims: bool = False) -> Value:
    return c.matrix_norm(x, keepdims=keepdims, ord=ord)


@op("cumsum", "cumprod", "logcumsumexp", "cummax")
def cumulative(c: Case, x: Value, axis: int, *, name: str) -> Value:
    f = c.first(name, {"cumsum": "cumulative_sum", "cumprod": "cumulative_prod"}.get(name, name))
    made = f(x if x.rank else c.reshape(x, [1]), axis=axis if x.rank else 0)
    made = made[0] if isinstance(made, tuple) else made
    return made if x.rank else c.reshape(made, [])


@op("diff")
def diff(c: Case, x: Value, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Value:
    return c.diff(x, n=n, axis=axis, prepend=prepend, append=append)


@op("trapezoid")
def trapezoid(c: Case, y: Value, x: Any = None, axis: int = -1, dx: float = 1.0) -> Value:
    return c.trapezoid(y, x=x, dx=dx, axis=axis)


@op("quantile")
def quantile(c: Case, x: Value, q: Any, axis: Any = None, keepdims: bool = False, interpolation: str = "linear") -> Value:
    return c.quantile(x, Literal.of(np.asarray(q)) if isinstance(q, list) else q, axis=over(axis, x), keepdims=keepdims, method=interpolation)


@op("median_lower")
def median_lower(c: Case, x: Value, axis: Any = None, keepdims: bool = False) -> Value:
    if axis is None or x.rank == 0:
        flat = c.sort(c.reshape(x, [-1]), axis=0)
        return c.take(flat, (int(flat.shape[0]) - 1) // 2, axis=0)
    taken = c.take(c.sort(x, axis=axis), (int(x.shape[axis]) - 1) // 2, axis=axis)
    return c.expand_dims(taken, axis) if keepdims else taken


# --- sorting and searching -------------------------------------------------------------------------------------------------------------


@op("sort", "argsort")
def sort(c: Case, x: Value, axis: int = -1, descending: bool = False, *, name: str) -> Value:
    if x.rank == 0:
        return c.reshape(getattr(c, name)(c.reshape(x, [1]), axis=0, descending=descending), [])
    return getattr(c, name)(x, axis=axis, descending=descending)


@op("topk")
def topk(c: Case, x: Value, k: int, axis: int = -1, largest: bool = True) -> Any:
    if x.rank == 0:
        return tuple(c.reshape(v, []) for v in c.topk(c.reshape(x, [1]), 1, axis=0, largest=largest))
    return c.topk(x, k, axis=axis, largest=largest)


@op("searchsorted")
def searchsorted(c: Case, sorted_: Value, values: Value, side: str = "left") -> Value:
    return c.searchsorted(sorted_, values, side=side)


# --- linear algebra ----------------------------------------------------------------------------------------------------------------------

renamed("inv det svdvals pinv matrix_exp=expm eigvalsh=eigvalsh_ trace slogdet linear vecdot")


def symmetric(c: Case, x: Value) -> Value:
    return c.divide(c.add(x, c.matrix_transpose(x)), 2)


@op("einsum")
def einsum(c: Case, xs: list[Value], subscripts: str) -> Value:
    return c.einsum(subscripts, *xs)


@op("multi_dot")
def multi_dot(c: Case, xs: list[Value]) -> Value:
    if "multi_dot" in FUNCTIONS:
        return c.multi_dot(xs)
    made = xs[0]
    for x in xs[1:]:
        made = c.matmul(made, x)
    return made


@op("matrix_power")
def matrix_power(c: Case, x: Value, n: int) -> Value:
    return c.matrix_power(x, n)


@op("logdet")
def logdet(c: Case, x: Value) -> Value:
    sign, logs = c.slogdet(x)
    return c.add(logs, c.log(sign))


@op("addmm")
def addmm(c: Case, x: Value, y: Value, z: Value, alpha: Any = 1, beta: Any = 1) -> Value:
    return c.addmm(x, y, z, beta=beta, alpha=alpha)


@op("tensordot")
def tensordot(c: Case, x: Value, y: Value, axes: Any) -> Value:
    return c.tensordot(x, y, axes if isinstance(axes, int) else tuple(tuple(a) if isinstance(a, list) else a for a in axes))


@op("cross")
def cross(c: Case, x: Value, y: Value, axis: int = -1) -> Value:
    return c.cross(x, y, axis=axis)


@op("cholesky")
def cholesky(c: Case, x: Value, upper: bool = False) -> Value:
    return c.cholesky(symmetric(c, x), upper=upper)


@op("eigvalsh")
def eigvalsh(c: Case, x: Value) -> Value:
    return c.eigvalsh(symmetric(c, x))


@op("eigh_fun")
def eigh_fun(c: Case, x: Value) -> Value:
    w, v = c.eigh(symmetric(c, x))
    return c.matmul(c.multiply(v, c.expand_dims(c.sin(w), -2)), c.matrix_transpose(v))


@op("svd_fun")
def svd_fun(c: Case, x: Value) -> Value:
    u, s, vh = c.svd(x, full_matrices=False)
    return c.matmul(c.multiply(u, c.expand_dims(c.multiply(s, s), -2)), vh)


@op("qr_pos")
def qr_pos(c: Case, x: Value) -> Any:
    q, r = c.qr(x)
    s = c.sign(c.diagonal(r, 0, -2, -1))
    return c.multiply(q, c.expand_dims(s, -2)), c.multiply(r, c.expand_dims(s, -1))


@op("solve")
def solve(c: Case, x: Value, b: Value) -> Value:
    if b.rank == 1 or (x.rank - 1 == b.rank and x.shape[:-1] == b.shape):
        made = c.solve(x, c.expand_dims(b, -1))
        return c.squeeze(made, axis=made.rank - 1)
    return c.solve(x, b)


@op("solve_triangular")
def solve_triangular(c: Case, x: Value, b: Value, upper: bool, left: bool = True, unitriangular: bool = False) -> Value:
    if left:
        return c.solve_triangular(x, b, lower=not upper, unit_diagonal=unitriangular)
    made = c.solve_triangular(c.matrix_transpose(x), c.matrix_transpose(b), lower=upper, unit_diagonal=unitriangular)
    return c.matrix_transpose(made)


@op("cholesky_solve")
def cholesky_solve(c: Case, b: Value, x: Value, upper: bool = False) -> Value:
    return c.cholesky_solve(b, x, upper=upper)


@op("lstsq")
def lstsq(c: Case, x: Value, b: Value) -> Value:
    made = c.lstsq(x, b)
    return made[0] if isinstance(made, tuple) else made


# --- shapes ------------------------------------------------------------------------------------------------------------------------------

renamed("expand_dims hstack vstack")


@op("transpose")
def transpose(c: Case, x: Value, axes: Any) -> Value:
    return c.permute_dims(x, tuple(axes))


@op("swapaxes")
def swapaxes(c: Case, x: Value, axis1: int, axis2: int) -> Value:
    return c.swapaxes(x, axis1, axis2)


@op("moveaxis")
def moveaxis(c: Case, x: Value, source: Any, destination: Any) -> Value:
    return c.moveaxis(x, source, destination)


@op("tile")
def tile(c: Case, x: Value, reps: Any) -> Value:
    return c.tile(x, reps)


@op("flip")
def flip(c: Case, x: Value, axis: Any) -> Value:
    axes = axis if isinstance(axis, list) else [axis]
    return c.flip(x, axis=tuple(axes)) if axes else x


@op("rot90")
def rot90(c: Case, x: Value, k: int = 1, axes: Any = (0, 1)) -> Value:
    return c.rot90(x, k, tuple(axes))


@op("concat")
def concat(c: Case, xs: list[Value], axis: int = 0) -> Value:
    return c.concat([x for x in xs if x.shape != (0,)] or xs[:1], axis=axis)


@op("stack")
def stack(c: Case, xs: list[Value], axis: int = 0) -> Value:
    return c.stack(xs, axis=axis)


@op("diag")
def diag(c: Case, x: Value, k: int = 0) -> Value:
    return c.diag(x, k)


@op("diagonal")
def diagonal(c: Case, x: Value, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    return c.diagonal(x, offset, axis1, axis2)


@op("diag_embed")
def diag_embed(c: Case, x: Value, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Value:
    return c.diag_embed(x, offset, axis1, axis2)


@op("one_hot")
def one_hot(c: Case, x: Value, n: int) -> Value:
    return c.one_hot(x, n)


@op("squeeze")
def squeeze(c: Case, x: Value, axis: Any = None) -> Value:
    if x.rank == 0:
        return x
    axes = range(x.rank) if axis is None else [axis] if isinstance(axis, int) else axis
    return c.squeeze(x, axis=tuple(sorted({a % x.rank for a in axes if x.shape[a] == 1})))


@op("flatten")
def flatten(c: Case, x: Value, start: int = 0, end: int = -1) -> Value:
    return c.flatten(x, start, end)


@op("roll")
def roll(c: Case, x: Value, shift: Any, axis: Any = None) -> Value:
    return c.roll(x, shift, axis=axis)


@op("repeat")
def repeat(c: Case, x: Value, repeats: Any, axis: Any = None) -> Value:
    return c.repeat(x, repeats, axis=axis)


@op("split")
def split(c: Case, x: Value, size: Any, axis: int = 0) -> Any:
    return c.split_sizes(x, size, axis=axis)


@op("chunk")
def chunk(c: Case, x: Value, n: int, axis: int = 0) -> Any:
    return c.chunk(x, n, axis=axis)


@op("unstack")
def unstack(c: Case, x: Value, axis: int = 0) -> Any:
    return c.unstack(x, axis=axis)


@op("pad")
def pad(c: Case, x: Value, pad_width: Any, mode: str = "constant", value: Any = 0.0) -> Value:
    return c.pad(x, tuple(tuple(p) for p in pad_width), mode=mode, constant_values=value)


@op("meshgrid")
def meshgrid(c: Case, xs: list[Value], indexing: str = "ij") -> Any:
    return c.meshgrid(*xs, indexing=indexing)


@op("sliding_window")
def sliding_window(c: Case, x: Value, axis: int, size: int, step: int) -> Value:
    if x.rank == 0:
        return c.reshape(x, [1])
    return c.sliding_window_view(x, size, axis=axis, step=step)


# --- indexing ------------------------------------------------------------------------------------------------------------------------------


def items_of(c: Case, index: Sequence[Any], arrays: dict[int, Value]) -> list[Any]:
    """NumPy's items as those of the graph. A mask that is known is the places where it holds."""
    items: list[Any] = []
    for item in index:
        if item is Ellipsis:
            items.append(ELLIPSIS)
        elif item is None:
            items.append(NEWAXIS)
        elif isinstance(item, slice):
            items.append(item)
        elif isinstance(item, np.ndarray) and item.dtype == bool:
            items += [c.cx.literal(Literal.of(k), from_numpy(k.dtype)) for k in np.nonzero(item)]
        elif isinstance(item, bool | np.bool_):
            if not item:
                raise NotImplementedError("an index that is false")
            items.append(NEWAXIS)
        elif isinstance(item, np.ndarray):
            items.append(arrays[id(item)] if id(item) in arrays else c.constant(item))
        elif isinstance(item, list):
            made = np.asarray(item) if item else np.asarray(item, dtype=np.int64)
            items += items_of(c, [made], arrays)
        else:
            items.append(int(item))
    return items


def windows(items: list[Any], x: Value) -> list[Any]:
    """Slices within their axes: bounds clipped as Python does."""
    taken = sum(1 for i in items if i is not NEWAXIS and i is not ELLIPSIS)
    made: list[Any] = []
    axis = 0
    for item in items:
        if item is ELLIPSIS:
            axis += x.rank - taken
            made.append(item)
            continue
        if isinstance(item, slice):
            start, stop, step = item.indices(int(x.shape[axis]))
            if step > 0:
                item = Window(start, max(stop, start), step)
            else:
                item = Window(start if start >= 0 else 0, None if stop < 0 else stop, step) if start >= 0 and start > stop else Window(0, 0, 1)
        made.append(item)
        axis += item is not NEWAXIS
    return made


@op("getitem")
def take_items(c: Case, x: Value, index: Sequence[Any], *, arrays: dict[int, Value], **_: Any) -> Value:
    return getitem(c.cx, x, windows(items_of(c, index, arrays), x))


@op("setitem")
def put_items(c: Case, x: Value, index: Sequence[Any], src: Value, accumulate: bool = False, *, arrays: dict[int, Value], **_: Any) -> Value:
    return put(c.cx, x, windows(items_of(c, index, arrays), x), src, accumulate)


@op("take_flat")
def take_flat(c: Case, x: Value, index: Value) -> Value:
    return c.take(x, index)


@op("take")
def take(c: Case, x: Value, index: Value, axis: int) -> Value:
    return c.take(x, index, axis=axis) if x.rank else c.reshape(c.take(x, index), [])


@op("take_along_axis")
def take_along_axis(c: Case, x: Value, index: Value, axis: Any = None) -> Value:
    return c.take_along_axis(x, index, axis=axis)


@op("gather")
def gather(c: Case, x: Value, axis: int, index: Value) -> Value:
    if x.rank == 0:
        return c.take(x, index)
    if index.rank == 0:
        return c.take(x, index)
    if 0 in index.shape:
        return c.zeros(index.shape, dtype=x.dtype)
    return c.gather(x, axis, index)


@op("scatter_set")
def scatter_set(c: Case, x: Value, axis: int, index: Value, src: Value) -> Value:
    if x.rank == 0:
        return c.reshape(src, [])
    return c.scatter_set(x, axis, index, src) if 0 not in index.shape else x


@op("scatter_add")
def scatter_add(c: Case, x: Value, axis: int, index: Value, src: Value) -> Value:
    if 0 in index.shape:
        return x
    if x.rank == 0:
        return c.add(x, c.sum(src))
    return c.scatter_add(x, axis, index, src)


@op("index_add")
def index_add(c: Case, x: Value, axis: int, index: Value, src: Value, alpha: Any = 1) -> Value:
    return c.index_add(x, axis, index, src, alpha=alpha)


# --- neural networks -----------------------------------------------------------------------------------------------------------------------


def convolution(name: str) -> None:
    def f(c: Case, x: Value, w: Value, b: Value | None = None, **kw: Any) -> Value:
        return getattr(c, name)(x, w, b, **{k: plain(v) for k, v in kw.items()})

    TABLE[name] = f


for _name in ("conv1d", "conv2d", "conv_transpose2d"):
    convolution(_name)


@op("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "im2col")
def pooling(c: Case, x: Value, *, name: str, **kw: Any) -> Value:
    return getattr(c, name)(x, **{k: plain(v) for k, v in kw.items() if not (k == "stride" and not v)})


@op("softmax", "log_softmax")
def softmax(c: Case, x: Value, axis: int, *, name: str) -> Value:
    return getattr(c, name)(x, axis=axis)


@op("nll_loss", "cross_entropy")
def classes(
    c: Case, x: Value, target: Value, weight: Any = None, reduction: str = "mean", ignore_index: int = -100, *, name: str
) -> Value:
    if x.rank == 1 and target.rank == 1:
        target = c.reshape(target, [])
    return getattr(c, name)(x, target, weight, reduction=reduction, ignore_index=ignore_index, axis=1 if x.rank > 1 else 0)


@op("sdpa")
def sdpa(c: Case, q: Value, k: Value, v: Value, mask: Any = None, is_causal: bool = False, scale: Any = None) -> Value:
    return c.scaled_dot_product_attention(q, k, v, mask=mask, is_causal=is_causal, scale=scale)


@op("normalize")
def normalize(c: Case, x: Value, p: Any = 2.0, axis: Any = 1, eps: float = 1e-12) -> Value:
    return lifted(c, lambda x: c.normalize(x, p, axis=axis if isinstance(axis, int) else tuple(axis), eps=eps), x)


@op("cosine_similarity")
def cosine_similarity(c: Case, x: Value, y: Value, axis: int = 1, eps: float = 1e-8) -> Value:
    return lifted(c, lambda x, y: c.cosine_similarity(x, y, axis=axis, eps=eps), x, y)


# --- running -------------------------------------------------------------------------------------------------------------------------------

STATIC = {"repeat": ("repeats",), "tile": ("reps",), "roll": ("shift",)}
"""Inputs that a graph has to know: the result's shape comes from them."""
POSITIONAL = ("x", "y", "z", "w")
NAMED_BY_TABLE = {
    "logical_and", "logical_or", "logical_xor", "sum", "mean", "max", "min", "any", "all", "nansum", "prod", "logsumexp", "argmax", "argmin", "var", "std",
    "cumsum", "cumprod", "logcumsumexp", "cummax", "sort", "argsort", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "im2col", "softmax", "log_softmax",
    "nll_loss", "cross_entropy",
}


def run(
    op: str,
    inputs: dict[str, Any],
    attrs: dict[str, Any],
    cots: dict[int, np.ndarray] | None,
    wrt: Sequence[str],
    hv: dict[str, np.ndarray] | None,
    size: Callable[[int], DimLike] = lambda n: n,
) -> dict[str, Any]:
    """Outputs, gradients and Hessian-vector products of one case. `size` gives the declared size of an axis: a number, or a named one."""
    if op not in TABLE:
        raise NotImplementedError(op)
    c = Case()
    feeds: dict[str, np.ndarray] = {}
    leaves: dict[str, Value] = {}

    def leaf(name: str, array: Any, like: Value | None = None) -> Value:
        made = np.ascontiguousarray(array).reshape(np.shape(array))
        d = from_numpy(made.dtype)
        assert d is not None
        label = name.replace(".", "_")
        feeds[label] = made if like is None else made.astype(like.dtype.np)
        declared = TensorType(d, tuple(size(n) for n in made.shape)) if like is None else like.type
        leaves[name] = c.graph.emit(OPS["input"], (), (label, declared))
        return leaves[name]

    given: dict[str, Any] = {}
    arrays: dict[int, Value] = {}
    for name, x in inputs.items():
        if isinstance(x, list):
            given[name] = [leaf(f"{name}.{k}", y) for k, y in enumerate(x)]
        elif op in ("getitem", "setitem") and name[0] == "i":
            if np.asarray(x).dtype != bool:
                arrays[id(x)] = leaf(name, x)
        elif name in STATIC.get(op, ()):
            attrs = {**attrs, name: np.asarray(x).tolist()}
        else:
            given[name] = leaf(name, x)
    extra: dict[str, Any] = {"name": op} if op in NAMED_BY_TABLE else {"arrays": arrays} if op in ("getitem", "setitem") else {}
    args = []
    f = TABLE[op]
    if f.__name__ == "<lambda>":
        both = {**attrs, **given}
        args = [number(both[n]) for n in POSITIONAL if n in both]
        attrs = {k: v for k, v in attrs.items() if k not in POSITIONAL}
        given = {k: v for k, v in given.items() if v is not None and k not in POSITIONAL}
        if "xs" in given:
            args = [given.pop("xs")]
        if "b" in given:
            args.append(given.pop("b"))
        if "index" in given:
            args.append(given.pop("index"))
    made = f(c, *args, **given, **{k: v for k, v in attrs.items() if k not in given}, **extra)
    outs = [o if isinstance(o, Value) else c.constant(o) for o in (made if isinstance(made, tuple | list) else [made])]
    wanted: dict[str, Value] = {f"out{i}": o for i, o in enumerate(outs)}
    targets = [leaves[n] for n in wrt]
    grads: list[Value] = []
    if cots and targets:
        parts = [emit_vjp(outs[i], leaf(f"cot{i}", ct, outs[i]), targets) for i, ct in cots.items()]
        grads = [sum_of(c, column) for column in zip(*parts, strict=True)]
        wanted |= {f"grad{n}": v for n, v in enumerate(grads)}
    if cots is not None and targets and not grads:
        grads = [c.zeros_like(t) for t in targets]
        wanted |= {f"grad{n}": v for n, v in enumerate(grads)}
    if hv is not None and targets:
        rows = [emit_vjp(grads[n], leaf(f"v{n}", hv[name], grads[n]), targets) for n, name in enumerate(wrt)]
        wanted |= {f"hv{n}": sum_of(c, column) for n, column in enumerate(zip(*rows, strict=True))}
    fn = compile_program(wanted)
    made_arrays = fn(**{k: v for k, v in feeds.items() if k in fn.inputs})
    result: dict[str, Any] = {"outs": [np.asarray(made_arrays[f"out{i}"]) for i in range(len(outs))]}
    if grads:
        result["grads"] = {name: np.asarray(made_arrays[f"grad{n}"]) for n, name in enumerate(wrt)}
        if hv is not None:
            result["hv"] = {name: np.asarray(made_arrays[f"hv{n}"]) for n, name in enumerate(wrt)}
    return result


def sum_of(c: Case, values: Sequence[Value]) -> Value:
    total = values[0]
    for v in values[1:]:
        total = c.add(total, v)
    return total
