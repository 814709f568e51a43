"""Smaller messages: codecs for the change of a model, and feedback of what they lose."""

from daskml_exec.training.compression._codec import Codec
from daskml_exec.training.compression._feedback import compressed
from daskml_exec.training.compression._named import codec_named

__all__ = ["Codec", "codec_named", "compressed"]
