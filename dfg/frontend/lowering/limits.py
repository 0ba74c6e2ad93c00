"""How far a program may expand, nest and fail before it is refused.

>>> MAX_DEPTH
100
"""

from __future__ import annotations

from typing import Final

MAX_VALUES: Final = 10_000_000
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
