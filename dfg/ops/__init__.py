"""The ops: importing this package fills the registry."""

from dfg.ops import (
    branch,
    calculus,
    contract,
    custom,
    elementwise,
    indexed,
    leaf,
    linalg,
    loop,
    math,
    movement,
    reduce,
    special,
    statistics,
)
from dfg.ops.base import OPS, Case, NoGradient, Op, Reject, get

__all__ = [
    "OPS",
    "Case",
    "NoGradient",
    "Op",
    "Reject",
    "get",
    "branch",
    "calculus",
    "contract",
    "custom",
    "elementwise",
    "indexed",
    "leaf",
    "linalg",
    "loop",
    "math",
    "movement",
    "reduce",
    "special",
    "statistics",
]
