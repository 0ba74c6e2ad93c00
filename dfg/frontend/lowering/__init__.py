"""Lowering: a syntax tree -> the typed source graph.

`lower(file, sink, load)` lowers a parsed file; `load_text(text)` parses and lowers, and raises everything that is wrong as one `UserError`.
The parts: `things` (what a name stands for), `scopes`, `engine` (the state, and evaluation without recursion), `statics`, `expressions`, `calls`, `types`,
`blocks`, `derivatives`, `control` (loops and branches), `contractions` (indexed statements), `rules` (a derivative of one's own), `modules`, `program`.

>>> lowered = load_text("input x : f64[n]\\noutput y = sum(x * 2)\\n")
>>> {name: str(v.type) for name, v in lowered.graph.roots.outputs.items()}
{'y': 'f64'}
"""

from dfg.frontend.lowering.engine import Loader
from dfg.frontend.lowering.modules import StdLoader
from dfg.frontend.lowering.program import InputInfo, LeafInfo, Lowered, load_text, lower

__all__ = ["InputInfo", "LeafInfo", "Loader", "Lowered", "StdLoader", "load_text", "lower"]
