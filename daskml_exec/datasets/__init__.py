"""Readers of data sets that are larger than one machine's memory."""

from daskml_exec.datasets._libsvm import read_libsvm

__all__ = ["read_libsvm"]
