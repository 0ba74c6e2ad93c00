"""The ops: importing this package fills the registry."""

from dfg.ops import branch, calculus, contract, convolution, cumulative, decompositions, determinant, elementwise, leaf, linalg, loop, matrix, movement, ordering, pooling, quantiles, reduce, signal
from dfg.ops.base import OPS, Case, NoGradient, Op, Reject, get

__all__ = [
    "OPS",
    "Case",
    "NoGradient",
    "Op",
    "Reject",
    "calculus",
    "contract",
    "convolution",
    "cumulative",
    "decompositions",
    "determinant",
    "elementwise",
    "branch", "get",
    "leaf",
    "linalg",
    "loop",
    "matrix",
    "movement",
    "ordering",
    "pooling",
    "quantiles",
    "reduce",
    "signal",
]
