"""Whether PyTorch is there, without importing it, and what skipped tests say where it is not."""

from importlib.util import find_spec

from daskml_exec.torch._extra import INSTALL

TORCH_IS_ABSENT = find_spec("torch") is None
REASON = f"torch is not installed: {INSTALL}"
