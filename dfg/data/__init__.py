"""Binding files and literals to inputs, and writing results.

Knows nothing of graphs: a wanted type is a dtype's name (or None) and a shape of sizes (None: any). Whatever comes in is judged, never
run; whatever goes out is whole or not there.
"""

from dfg.data.atomic import atomic_write, check_target
from dfg.data.codes import CODES
from dfg.data.convert import fit, to_dfg
from dfg.data.csv import read_table
from dfg.data.images import read_image, write_image
from dfg.data.literal import Literal, parse_literal
from dfg.data.params import load_meta, load_params, match_params, save_params
from dfg.data.values import read_file, read_inputs, read_value
from dfg.data.write import json_outputs, json_value, write_outputs

__all__ = ["CODES", "Literal", "atomic_write", "check_target", "fit", "json_outputs", "json_value", "load_meta", "load_params", "match_params",
           "parse_literal", "read_file", "read_image", "read_inputs", "read_table", "read_value", "save_params", "to_dfg", "write_image",
           "write_outputs"]
