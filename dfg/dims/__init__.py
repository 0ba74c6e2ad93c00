"""Symbolic dimensions: sizes in normal form, the table of facts about them, and binding them from the shapes of real arrays."""

from dfg.dims.facts import Facts
from dfg.dims.poly import Dim, DimError, DimLike, dim_max, dim_min, evaluate, named, names, substitute
from dfg.dims.text import DimCode, compile_dims, format_dim, parse_dim

__all__ = [
    "Dim",
    "DimCode",
    "DimError",
    "DimLike",
    "Facts",
    "compile_dims",
    "dim_max",
    "dim_min",
    "evaluate",
    "format_dim",
    "named",
    "names",
    "parse_dim",
    "substitute",
]
