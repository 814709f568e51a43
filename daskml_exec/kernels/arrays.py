"""What functions say that they take and return where an array on the host is meant."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Rows = np.ndarray[Any, np.dtype[np.intp]]
"""Numbers of rows, or positions of them."""
