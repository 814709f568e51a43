"""Smaller messages: codecs for the change of a model, and feedback of what they lose."""

from daskml_exec.training.compression._codec import Codec
from daskml_exec.training.compression._feedback import compressed
from daskml_exec.training.compression._half import HalfChange
from daskml_exec.training.compression._named import codec_named
from daskml_exec.training.compression._top_k import SparseChange
from daskml_exec.training.compression._whole import WholeChange

__all__ = ["Codec", "HalfChange", "SparseChange", "WholeChange", "codec_named", "compressed"]
