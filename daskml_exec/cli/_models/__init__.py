"""The models that the command trains: a file each."""

from daskml_exec.cli._models._kind import ModelKind, option
from daskml_exec.cli._models._logistic import Logistic
from daskml_exec.cli._models._mlp import Mlp

MODELS: dict[str, type[ModelKind]] = {kind.name: kind for kind in (Logistic, Mlp)}

__all__ = ["MODELS", "ModelKind", "option"]
