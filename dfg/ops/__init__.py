"""The ops: importing this package fills the registry."""

from dfg.ops import branch, calculus, contract, cumulative, elementwise, leaf, linalg, loop, movement, ordering, quantiles, reduce
from dfg.ops.base import OPS, Case, NoGradient, Op, Reject, get

__all__ = [
    "OPS",
    "Case",
    "NoGradient",
    "Op",
    "Reject",
    "calculus",
    "contract",
    "cumulative",
    "elementwise",
    "branch", "get",
    "leaf",
    "linalg",
    "loop",
    "movement",
    "ordering",
    "quantiles",
    "reduce",
]
