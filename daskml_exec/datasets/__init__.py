"""Readers of data sets that are larger than one machine's memory."""

from daskml_exec.datasets._idx import read_idx
from daskml_exec.datasets._libsvm import read_libsvm

__all__ = ["read_idx", "read_libsvm"]
