"""Benchmarks for asv; comparisons of two things also run as ``python -m benchmarks.NAME``."""

import sys
from pathlib import Path

# asv finds this package by an importer of its own. Worker processes, which import the functions
# that they are sent, look along the path that they inherit.
_HERE = str(Path(__file__).parents[1])
if _HERE not in sys.path:
    sys.path.insert(0, _HERE)
