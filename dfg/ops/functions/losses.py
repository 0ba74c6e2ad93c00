"""Losses and normalising layers, under their neural-network names. `reduction` is "mean", "sum" or "none"."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from typing import Any
