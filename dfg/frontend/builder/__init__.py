"""The Python builder: programs described by computing with tensors.

    x = input("x", "f64[n]"); w = param("w", "f64", 0.5)
    l = function_named("sum")((np.exp(w * x) - 1) ** 2)
    program({"l": l, "dl_dw": grad(l, w)}).graph

`names()` is everything that a user meets, by its public name: the declarations, derivatives, loops, and every function of the language. The layers above set
three hooks: `tensor.RENDER` (pictures in notebooks), `tracing.RUN` (running traced functions on arrays).
"""

from __future__ import annotations

from typing import Any

from dfg.frontend.builder.assemble import Program, program
from dfg.frontend.builder.calculus import grad, hessian, hvp, jacobian, jvp, pin, stop_gradient, value_and_grad, vjp
from dfg.frontend.builder.convert import default_float
from dfg.frontend.builder.declare import asarray, const, dim, input, param, state
from dfg.frontend.builder.emit import DfgWarning
from dfg.frontend.builder.functions import all_functions
from dfg.frontend.builder.functions import function as function_named
from dfg.frontend.builder.loops import VECTORISE, cond, custom_vjp, scan, vmap, while_loop
from dfg.frontend.builder.tensor import RENDER, Tensor
from dfg.frontend.builder.tracing import RUN, Function, Trace, function
from dfg.types import CONVERT, DTYPES

CONVERT[:] = [lambda x, dtype: function_named("astype")(x, dtype)]


def names() -> dict[str, Any]:
    """What the builder offers, by public name."""
    own = {f.__name__: f for f in (
        asarray, default_float, dim, function, grad, hessian, hvp, input, jacobian, jvp, param, pin, scan, state, stop_gradient, value_and_grad, vjp, vmap,
        cond, custom_vjp, while_loop,
    )}  # fmt: skip
    dtypes = {name: d for name, d in DTYPES.items() if name != "bool"}
    return {**all_functions(), **dtypes, **own, "const": const, "Tensor": Tensor, "DfgWarning": DfgWarning}


__all__ = [
    "RENDER",
    "RUN",
    "VECTORISE",
    "DfgWarning",
    "Function",
    "Program",
    "Tensor",
    "Trace",
    "all_functions",
    "asarray",
    "while_loop",
    "custom_vjp",
    "cond",
    "const",
    "default_float",
    "dim",
    "function",
    "function_named",
    "grad",
    "hessian",
    "hvp",
    "input",
    "jacobian",
    "jvp",
    "names",
    "param",
    "pin",
    "program",
    "scan",
    "state",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]
