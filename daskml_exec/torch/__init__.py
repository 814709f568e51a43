"""Any PyTorch module, trained over partitions; needs the extra ``torch``.

Importing this package imports no PyTorch: its names do, each when it is asked for.
"""

from typing import TYPE_CHECKING, Any

from daskml_exec.torch._extra import require_torch

if TYPE_CHECKING:
    from daskml_exec.torch._public import DivergenceError as DivergenceError
    from daskml_exec.torch._public import Explanation as Explanation
    from daskml_exec.torch._public import TorchClassifier as TorchClassifier
    from daskml_exec.torch._public import TorchEstimator as TorchEstimator
    from daskml_exec.torch._public import TorchRegressor as TorchRegressor
    from daskml_exec.torch._public import from_dataset as from_dataset
    from daskml_exec.torch._public import load_samples as load_samples
    from daskml_exec.torch._public import tokens as tokens

__all__ = [
    "DivergenceError",
    "Explanation",
    "TorchClassifier",
    "TorchEstimator",
    "TorchRegressor",
    "from_dataset",
    "load_samples",
    "tokens",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_torch("the estimators of daskml_exec.torch")
    from daskml_exec.torch import _public

    return getattr(_public, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
