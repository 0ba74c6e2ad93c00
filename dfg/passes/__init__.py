"""Passes: one a file, and the pipelines as visible tuples (`dfg.passes.manager`)."""
