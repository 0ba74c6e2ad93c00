"""The surface functions: what a program calls to get arithmetic, reductions, shapes, products and draws. Importing this package fills the table."""

from dfg.ops.functions import (
    activations,
    arithmetic,
    creation,
    distributions,
    draws,
    editing,
    indexed,
    mathematics,
    matrices,
    products,
    reductions,
    shapes,
    shaping,
    special,
    statistics,
)
from dfg.ops.functions.common import count_of, declare_binary, declare_unary, dim_value, keep
from dfg.ops.functions.draws import seed_value
from dfg.ops.functions.expr import Expr
from dfg.ops.functions.products import contract_values

__all__ = [
    "Expr",
    "activations",
    "arithmetic",
    "contract_values",
    "count_of",
    "creation",
    "distributions",
    "declare_binary",
    "declare_unary",
    "dim_value",
    "draws",
    "editing",
    "indexed",
    "keep",
    "mathematics",
    "matrices",
    "products",
    "reductions",
    "seed_value",
    "shapes",
    "shaping",
    "special",
    "statistics",
]

from dfg.ops.functions import primitive as primitive
