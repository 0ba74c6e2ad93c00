"""The surface functions: what a program calls to get arithmetic, reductions, shapes, products and draws. Importing this package fills the table."""

from dfg.ops.functions import activations, arithmetic, creation, draws, mathematics, products, reductions, shapes, special
from dfg.ops.functions.common import count_of, declare_binary, declare_unary, dim_value, keep
from dfg.ops.functions.draws import seed_value
from dfg.ops.functions.products import contract_values

__all__ = [
    "activations",
    "arithmetic",
    "contract_values",
    "count_of",
    "creation",
    "declare_binary",
    "declare_unary",
    "dim_value",
    "draws",
    "keep",
    "mathematics",
    "products",
    "reductions",
    "seed_value",
    "shapes",
    "special",
]
