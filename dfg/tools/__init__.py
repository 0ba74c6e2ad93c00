"""Tools over programs and definitions: proofs of the ops, gradient checks, reports."""
