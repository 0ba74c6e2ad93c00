"""The ops: importing this package fills the registry."""

from dfg.ops import branch, calculus, contract, custom, elementwise, indexed, leaf, linalg, loop, movement, reduce
from dfg.ops.base import OPS, Case, NoGradient, Op, Reject, get

__all__ = [
    "OPS",
    "Case",
    "NoGradient",
    "Op",
    "Reject",
    "branch",
    "calculus",
    "contract",
    "custom",
    "elementwise",
    "get",
    "indexed",
    "leaf",
    "linalg",
    "loop",
    "movement",
    "reduce",
]
