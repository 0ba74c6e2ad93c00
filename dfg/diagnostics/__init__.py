"""Diagnostics: what is told to a user when something is wrong, the table of its codes, and how it is shown."""

from dfg.diagnostics.model import (
    DfgError,
    Diagnostic,
    Fix,
    InternalError,
    Label,
    Severity,
    Sink,
    UserError,
    error,
    in_order,
    warning,
)

__all__ = ["DfgError", "Diagnostic", "Fix", "InternalError", "Label", "Severity", "Sink", "UserError", "error", "in_order", "warning"]
