"""Symbolic dimensions: sizes in normal form, the table of facts about them, and binding them from the shapes of real arrays."""

from dfg.dims.bind import Binder, BindError
from dfg.dims.facts import DimConflict, Fact, Facts, explain_unequal, suggest_fact
from dfg.dims.poly import Dim, DimError, DimLike, dim_max, dim_min, named, names
from dfg.dims.text import DimCode, compile_dims, format_dim, parse_dim
from dfg.dims.walk import evaluate, substitute

__all__ = [
    "BindError",
    "Binder",
    "Dim",
    "DimCode",
    "DimConflict",
    "DimError",
    "DimLike",
    "Fact",
    "Facts",
    "compile_dims",
    "dim_max",
    "dim_min",
    "evaluate",
    "explain_unequal",
    "format_dim",
    "named",
    "names",
    "parse_dim",
    "substitute",
    "suggest_fact",
]
