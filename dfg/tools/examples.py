"""An example call of every function: what its page shows, and what is looked into for its types, its expansion and its gradient.

A function of one, two or three tensors needs no entry: the first of `TRIED` that is accepted is its example. An entry of `CALLS` is the call, or
`targets = call`; the names in it stand for `VALUES`.

>>> example("tanh").text
'x = [0.2, 0.5, 0.7]\\nr = tanh(x)\\n'
>>> example("qr").targets
('q', 'r')
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from dfg.diagnostics import UserError
from dfg.frontend import prelude as prelude  # fills the table of functions
from dfg.ops.surface import FUNCTIONS, Function, role

if TYPE_CHECKING:
    from dfg.frontend.lowering.program import Lowered

VALUES: Final[dict[str, str]] = {
    "x": "[0.2, 0.5, 0.7]",
    "y": "[1.5, 0.4, 0.3]",
    "z": "[0.6, 0.9, 0.1]",
    "i": "[2, 0, 1]",
    "j": "[1, 3, 2]",
    "p": "[true, false, true]",
    "o": "[false, false, true]",
    "gaps": "[1.0, nan, 3.0]",
    "far": "[1.5, 3.0, 4.5]",
    "m": "[[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]]",
    "t": "[[1.0, 0.5], [2.0, 1.5], [0.0, 3.0]]",
    "s": "[[4.0, 1.0], [1.0, 3.0]]",
    "low": "[[2.0, 0.0], [1.0, 3.0]]",
    "c": "[0.5, 0.25]",
    "d": "[3.0, 1.0, 2.0, 5.0, 4.0]",
    "k": "[1.0, -1.0]",
    "rows": "[[2, 0], [1, 1]]",
    "names": "[0, 2]",
    "src": "[[10.0, 20.0], [30.0, 40.0]]",
    "one": "[[[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]]]",
    "two": "[[[[1.0, 2.0, 0.0, 1.0], [3.0, 1.0, 2.0, 0.0], [0.0, 1.0, 4.0, 1.0], [2.0, 0.0, 1.0, 3.0]]]]",
    "three": "[[[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]]]",
    "w1": "[[[1.0, -1.0], [0.5, 0.5]]]",
    "w2": "[[[[1.0, 0.0], [0.0, -1.0]]]]",
    "w3": "[[[[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]]]",
    "v1": "[[[1.0, -1.0]], [[0.5, 0.5]]]",
    "patches": "[[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]]",
    "patches4": "[[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]]",
    "logits": "[[2.0, 0.5, -1.0], [0.0, 1.0, 3.0]]",
    "share": "[[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]",
    "heads": "[[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]]",
}
CALLS: Final[dict[str, str]] = {
    "conv": 'conv(one, w1, subs="bc,oc->bo", before=[0], sizes=[3])',
    "conv1d": "conv1d(one, w1)",
    "conv2d": "conv2d(two, w2, stride=2)",
    "conv3d": "conv3d(three, w3)",
    "conv_transpose1d": "conv_transpose1d(one, v1)",
    "conv_transpose2d": "conv_transpose2d(two, w2, stride=2)",
    "conv_transpose3d": "conv_transpose3d(three, w3)",
    "topk": "values, places = topk(d, 2)",
    "kthvalue": "value, place = kthvalue(d, 2)",
    "searchsorted": "searchsorted(far, x)",
    "bucketize": "bucketize(x, far)",
    "digitize": "digitize(x, far)",
    "interp": "interp(x, far, y)",
    "matrix_power": "matrix_power(s, 3)",
    "multi_dot": "multi_dot([m, t, s])",
    "solve": "solve(s, c)",
    "cond": "cond(s)",
    "block_diag": "block_diag(m, t)",
    "delete": "delete(x, [0])",
    "insert": "insert(x, 1, 9.0)",
    "lexsort": "lexsort([y, x])",
    "solve_triangular": "solve_triangular(low, src, lower=true)",
    "cholesky_solve": "cholesky_solve(src, low)",
    "qr": "q, r = qr(t)",
    "svd": "u, w, vh = svd(t, full_matrices=false)",
    "lstsq": "lstsq(t, x)",
    "matvec": "matvec(s, c)",
    "vecmat": "vecmat(c, s)",
    "matmul": "matmul(m, t)",
    "linear": "linear(m, t.T)",
    "addmm": "addmm(s, m, t)",
    "cofactor": "cofactor(s)",
    "windows": "windows(d, window=[2], sizes=[4], before=[0], strides=[1], dilation=[1])",
    "overlap_add": "overlap_add(t, sizes=[4], before=[0], strides=[1], dilation=[1])",
    "im2col": "im2col(two, 2, stride=2)",
    "col2im": "col2im(patches, [3, 2], 2)",
    "max_pool": "max_pool(d, window=[2], sizes=[4], before=[0], strides=[1], dilation=[1])",
    "max_pool_place": "max_pool_place(d, window=[2], sizes=[4], before=[0], strides=[1], dilation=[1])",
    "max_pool1d": "max_pool1d(one, 2)",
    "avg_pool1d": "avg_pool1d(one, 2)",
    "adaptive_avg_pool1d": "adaptive_avg_pool1d(one, 2)",
    "adaptive_max_pool1d": "adaptive_max_pool1d(one, 2)",
    "max_pool2d": "max_pool2d(two, 2)",
    "avg_pool2d": "avg_pool2d(two, 2)",
    "adaptive_avg_pool2d": "adaptive_avg_pool2d(two, 2)",
    "adaptive_max_pool2d": "adaptive_max_pool2d(two, 2)",
    "max_pool3d": "max_pool3d(three, 2)",
    "avg_pool3d": "avg_pool3d(three, 2)",
    "adaptive_avg_pool3d": "adaptive_avg_pool3d(three, 1)",
    "adaptive_max_pool3d": "adaptive_max_pool3d(three, 1)",
    "interpolate": "interpolate(two, [2, 2])",
    "quantile": "quantile(d, 0.25)",
    "percentile": "percentile(d, 25)",
    "nanquantile": "nanquantile(gaps, 0.5)",
    "nanmedian": "nanmedian(gaps)",
    "convolve": "convolve(d, k)",
    "correlate": "correlate(d, k)",
    "astype": "astype(x, i64)",
    "zeros": "zeros([2, 3])",
    "ones": "ones([3])",
    "full": "full([2], 0.5)",
    "full_like": "full_like(x, 7)",
    "empty": "empty([2])",
    "arange": "arange(2, 8, 2)",
    "linspace": "linspace(0, 1, 5)",
    "logspace": "logspace(0, 2, 3)",
    "eye": "eye(2, 3)",
    "identity": "identity(2)",
    "tri": "tri(3)",
    "normal": "normal([3], seed=1)",
    "uniform": "uniform([3], seed=1)",
    "bernoulli": "bernoulli(0.5, [3], seed=1)",
    "randint": "randint(0, 10, [3], seed=1)",
    "permutation": "permutation(5, seed=1)",
    "categorical": "categorical(logits, seed=1)",
    "hstack": "hstack([x, y])",
    "vstack": "vstack([x, y])",
    "dstack": "dstack([x, y])",
    "column_stack": "column_stack([x, y])",
    "concat": "concat([x, y])",
    "stack": "stack([x, y], axis=1)",
    "split": "a, b, c = split(x, 3)",
    "split_sizes": "a, b = split_sizes(x, [1, 2])",
    "array_split": "a, b = array_split(x, 2)",
    "hsplit": "a, b, c = hsplit(m, 3)",
    "vsplit": "a, b = vsplit(m, 2)",
    "chunk": "a, b = chunk(d, 2)",
    "unstack": "a, b = unstack(m)",
    "narrow": "narrow(d, 0, 1, 3)",
    "swapaxes": "swapaxes(m, 0, 1)",
    "moveaxis": "moveaxis(m, 0, 1)",
    "permute_dims": "permute_dims(m, [1, 0])",
    "flatten": "flatten(m)",
    "reshape": "reshape(m, [3, 2])",
    "broadcast_to": "broadcast_to(x, [2, 3])",
    "broadcast_arrays": "a, b = broadcast_arrays(x, m)",
    "atleast_1d": "atleast_1d(x)",
    "expand_dims": "expand_dims(x, axis=0)",
    "squeeze": "squeeze(one, axis=0)",
    "flip": "flip(m, axis=1)",
    "rot90": "rot90(m)",
    "fliplr": "fliplr(m)",
    "tile": "tile(x, [2])",
    "repeat": "repeat(x, 2, axis=0)",
    "roll": "roll(d, 2, axis=0)",
    "pad": "pad(x, [[1, 2]])",
    "take": "take(d, i, axis=0)",
    "take_along_axis": "take_along_axis(m, rows, axis=1)",
    "gather": "gather(m, 1, rows)",
    "scatter_add": "scatter_add(m, 1, rows, src)",
    "scatter_set": "scatter_set(m, 1, rows, src)",
    "index_add": "index_add(m, 1, names, src)",
    "index_fill": "index_fill(m, 1, names, 0.0)",
    "embedding": "embedding(t, i)",
    "one_hot": "one_hot(i, 4)",
    "layer_norm": "layer_norm(m, [3])",
    "rms_norm": "rms_norm(m, [3])",
    "batch_norm": "batch_norm(one, training=true)",
    "group_norm": "group_norm(one, 2)",
    "instance_norm": "instance_norm(one)",
    "scaled_dot_product_attention": "scaled_dot_product_attention(heads, heads, heads, is_causal=true)",
    "nll_loss": "nll_loss(log_softmax(logits), names)",
    "cross_entropy": "cross_entropy(logits, names)",
    "kl_div": "kl_div(log_softmax(logits), share)",
    "einsum": 'einsum("ij,jk->ik", m, t)',
    "inner": "inner(x, y)",
    "outer": "outer(x, y)",
    "tensordot": "tensordot(m, t, 1)",
    "cross": "cross(x, y)",
    "meshgrid": "a, b = meshgrid(x, c)",
    "sliding_window_view": "sliding_window_view(d, 3)",
    "sum": "sum(m, axis=0)",
    "mean": "mean(m, axis=0)",
    "max": "max(m, axis=1)",
    "min": "min(m, axis=1)",
    "prod": "prod(m, axis=1)",
    "argmax": "argmax(d)",
    "argmin": "argmin(d)",
    "sort": "sort(d)",
    "argsort": "argsort(d)",
    "all": "all(p)",
    "any": "any(p)",
    "count_nonzero": "count_nonzero(i)",
    "polygamma": "polygamma(1, y)",
    "multigammaln": "multigammaln(far, 2)",
    "iv": "iv(1, y)",
    "ive": "ive(1, y)",
    "where": "where(p, x, y)",
    "masked_fill": "masked_fill(x, p, 0)",
    "clip": "clip(x, 0.3, 0.6)",
    "clamp": "clamp(x, 0.3, 0.6)",
    "round": "round(far, 0)",
    "ldexp": "ldexp(x, j)",
    "normalize": "normalize(m, axis=1)",
    "cummax": "values, places = cummax(d)",
    "cummin": "values, places = cummin(d)",
    "nansum": "nansum(gaps)",
    "nanprod": "nanprod(gaps)",
    "nanmean": "nanmean(gaps)",
    "nanvar": "nanvar(gaps)",
    "nanstd": "nanstd(gaps)",
    "nanmax": "nanmax(gaps)",
    "nanmin": "nanmin(gaps)",
    "nan_to_num": "nan_to_num(gaps)",
    "isnan": "isnan(gaps)",
    "primitive": 'primitive("exp", [x])',
    "dropout": "dropout(x, 0.5, seed=1)",
    "bincount": "bincount(i, minlength=4)",
    "select": "select([p, o], [x, y])",
    "index_select": "index_select(m, 1, names)",
    "pixel_shuffle": "pixel_shuffle(patches4, 2)",
    "bilinear": "bilinear(x, y, [[[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]])",
    "multi_margin_loss": "multi_margin_loss(logits, names)",
    "gather_nd": "gather_nd(m, rows)",
    "polyval": "polyval(far, c)",
    "linear_recurrence": "linear_recurrence(x, y)",
    "addbmm": "addbmm(t, heads, [[[1.0, 0.0], [0.0, 1.0]]])",
    "affine_grid": "affine_grid([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], 1, 2)",
    "aminmax": "low, high = aminmax(d)",
    "bartlett": "bartlett(5)",
    "blackman": "blackman(5)",
    "hamming": "hamming(5)",
    "hanning": "hanning(5)",
    "kaiser": "kaiser(5, 2.0)",
    "channel_shuffle": "channel_shuffle(patches4, 2)",
    "ctc_loss": "ctc_loss(log(share), [1])",
    "divmod": "quotient, rest = divmod(far, y)",
    "modf": "fraction, whole = modf(far)",
    "frexp": "mantissa, exponent = frexp(far)",
    "embedding_bag": "embedding_bag(rows, t)",
    "eval_chebyt": "eval_chebyt(3, x)",
    "eval_chebyu": "eval_chebyu(3, x)",
    "eval_hermite": "eval_hermite(3, x)",
    "eval_hermitenorm": "eval_hermitenorm(3, x)",
    "eval_laguerre": "eval_laguerre(3, x)",
    "eval_legendre": "eval_legendre(3, x)",
    "geomspace": "geomspace(1.0, 8.0, 4)",
    "hilbert": "hilbert(2)",
    "local_response_norm": "local_response_norm(one, 2)",
    "lp_pool1d": "lp_pool1d(one, 2, 2)",
    "lp_pool2d": "lp_pool2d(two, 2, 2)",
    "lu": "p, l, u = lu(s)",
    "lu_factor": "f, perm = lu_factor(s)",
    "lu_solve": "lu_solve(low, [0, 1], c)",
    "movedim": "movedim(m, 0, 1)",
    "swapdims": "swapdims(m, 0, 1)",
    "polar": "u, p = polar(t)",
    "polyfit": "polyfit(x, y, 1)",
    "renorm": "renorm(m, 2, 0, 1.0)",
    "scatter_reduce_sum": "scatter_reduce_sum(x, rows, src)",
    "segment_mean": "segment_mean(t, [0, 1, 0], 2)",
    "segment_sum": "segment_sum(t, [0, 1, 0], 2)",
    "sici": "si, ci = sici(x)",
    "std_mean": "spread, middle = std_mean(x)",
    "var_mean": "spread, middle = var_mean(x)",
    "substream": "substream(1, 2)",
    "standard_gamma": "standard_gamma(far, seed=1)",
    "log_gamma_draw": "log_gamma_draw(far, seed=1)",
    "random_gamma": "random_gamma(far, seed=1)",
    "random_beta": "random_beta(x, y, seed=1)",
    "dirichlet": "dirichlet(far, seed=1)",
    "poisson": "poisson(far, seed=1)",
    "binomial": "binomial(i, 0.5, seed=1)",
    "choice": "choice(d, [2], replace=false, seed=1)",
    "truncated_normal": "truncated_normal(x, far, seed=1)",
    "multivariate_normal": "multivariate_normal(c, s, seed=1)",
    "jn": "jn(1, y)",
    "gammaincinv": "gammaincinv(y, x)",
    "gammainccinv": "gammainccinv(y, x)",
    "kn": "kn(1, y)",
    "kne": "kne(1, y)",
    "zeta": "zeta(far)",
    "lambertw": "lambertw(x)",
    "gammainc": "gammainc(y, x)",
    "acosh": "acosh(far)",
    "eigh": "w, v = eigh(s)",
    "slogdet": "sign, logs = slogdet(s)",
}
TRIED: Final = (
    ("x", "y", "z"), ("i", "j", "i"), ("p", "o", "p"), ("s", "s", "s"), ("m", "m", "m"), ("m", "m", "c"), ("s", "s", "c"), ("one", "one", "one"), ("two", "two", "two"),
)  # fmt: skip
"""Operands to try, in this order, for functions without an entry."""


@dataclass(frozen=True, slots=True)
class Example:
    """A program: the names of its operands, what it binds, the call, and the text of all of it."""

    name: str
    operands: tuple[str, ...]
    targets: tuple[str, ...]
    call: str

    @property
    def text(self) -> str:
        lines = [f"{n} = {VALUES[n]}" for n in self.operands]
        return "\n".join([*lines, f"{', '.join(self.targets)} = {self.call}", ""])

    @property
    def program(self) -> str:
        """The text with its results as outputs."""
        return f"{self.text}output {', '.join(self.targets)}\n"

    def over(self, types: dict[str, str]) -> str:
        """The same program of inputs of the given types."""
        lines = [f"input {n} : {t}" for n, t in types.items()]
        return "\n".join([*lines, f"{', '.join(self.targets)} = {self.call}", f"output {', '.join(self.targets)}", ""])


def _made(name: str, written: str) -> Example:
    match = re.match(r"([a-z_, ]+?) = (.*)", written)
    targets, call = (tuple(match[1].split(", ")), match[2]) if match else (("result",), written)
    inside = re.sub(r'"[^"]*"', "", call)
    words = dict.fromkeys(re.findall(r"\b[a-z_0-9]+\b(?!\s*[=(])", inside))
    return Example(name, tuple(w for w in words if w in VALUES), targets, call)


def lowered(text: str) -> Lowered:
    """The graph of a program's text."""
    from dfg.frontend.lowering.program import load_text

    return load_text(text, "<example>")


def accepted(text: str) -> bool:
    """Whether a program has no error."""
    try:
        lowered(text)
    except UserError:
        return False
    return True


@cache
def example(name: str) -> Example | None:
    """The example of a function, or None if nothing that is tried is accepted."""
    f = FUNCTIONS.get(name)
    entry = CALLS.get(name)
    if entry is None and f is not None:
        same = [n for n, g in FUNCTIONS.items() if g.implementation is f.implementation and n in CALLS]
        entry = CALLS[same[0]].replace(f"{same[0]}(", f"{name}(", 1) if same else None
    if entry is not None:
        return _made(name, entry)
    for values in TRIED:
        given = _arguments(f, values) if f is not None else []
        made = _made(name, f"{name}({', '.join(given)})")
        if accepted(made.program):
            return made
    return None


STATIC: Final = {"size": "2", "static": "2", "shape": "[3]", "axis": "0", "axes": "0", "operands": "[x, y]"}
"""What is tried for required arguments that are no tensors, by their role."""


def _arguments(f: Function, values: tuple[str, ...]) -> list[str]:
    """Arguments for what a function requires, its tensors being the given ones in order; and a seed for a draw."""
    spare = iter(values)
    given = []
    for p in f.signature.parameters.values():
        if p.name == "seed":
            given.append("seed=1")
        elif p.default is p.empty:
            given.append(STATIC.get(role(p)) or next(spare, values[0]))
    return given
