"""How far a program may expand, nest and fail before it is refused; and which functions act leaf by leaf on records.

>>> MAX_DEPTH
100
"""

from __future__ import annotations

from typing import Final

MAX_VALUES: Final = 10_000_000
MAX_ERRORS: Final = 500
"""After so many errors a program is given up."""
MAX_FAILURES: Final = 2_000
"""Calls that fail before a program is given up."""
MAX_DEPTH: Final = 100
"""Bodies of loops and branches inside one another."""
MAX_BODIES: Final = 20_000
MAX_CALLS: Final = 100_000
"""Calls that are expanded, and unrolled steps."""
MAX_LEAVES: Final = 100_000
"""Leaves of one record."""
MAX_STATIC: Final = 50_000_000
"""Elements of an array that is computed while compiling."""

LEAFWISE: Final = frozenset({
    "where", "zeros_like", "ones_like", "full_like", "stop_gradient", "astype", "clip", "clamp", "real", "sign", "abs", "floor",
    "ceil", "round", "trunc", "frac", "isnan", "isinf", "isfinite", "nan_to_num", "fmax", "fmin", "heaviside", "ldexp", "lerp",
    "addcmul", "addcdiv", "masked_fill", "entr", "expit", "logit", "relu6", "leaky_relu", "elu", "celu", "selu", "silu", "swish",
    "logsigmoid", "log_sigmoid", "log_expit", "hardtanh", "hardsigmoid", "hardswish", "mish", "softsign", "tanhshrink",
    "softshrink", "hardshrink", "lgamma", "digamma", "psi", "polygamma", "gammainc", "gammaincc", "beta", "sinc", "i0", "i0e",
    "i1", "i1e", "iv", "ive",
})
"""Elementwise functions that neither fold literals nor are the op of their name."""
