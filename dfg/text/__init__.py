"""Printing a graph as `.dfg` text: `exact`, one op per statement, read back to an equal graph; `readable`, a program with equal values."""

from dfg.text.exact import exact
from dfg.text.readable import readable

__all__ = ["exact", "readable"]
