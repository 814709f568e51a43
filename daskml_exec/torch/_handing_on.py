"""Parameters of estimators that are handed on, as ``module__width`` is to the module."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from daskml_exec.torch._arguments import COMMON
from daskml_exec.training import ListeningEstimator


class HandingOn(ListeningEstimator):
    """Base of estimators with parameters beyond those in their signature."""

    _prefixes: ClassVar[tuple[str, ...]] = ("module", "optimizer")

    def _set_common(self, given: Mapping[str, Any]) -> None:
        for name in COMMON:
            setattr(self, name, given[name])
        for name, value in given["options"].items():
            setattr(self, name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, among them those that are handed on, as ``module__width``.

        Parameters
        ----------
        deep : bool, default=True
            Whether those of parameters that are estimators are returned, too.

        Returns
        -------
        dict
            By name.
        """
        own = super().get_params(deep=deep)
        return own | {name: vars(self)[name] for name in self._options() if name not in own}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, among them those that are handed on.

        Parameters
        ----------
        **params : object
            By name.

        Returns
        -------
        estimator
            This one.
        """
        handed_on = {name: value for name, value in params.items() if self._is_routed(name)}
        # First what may be refused, so that nothing is handed on then.
        super().set_params(**{k: v for k, v in params.items() if k not in handed_on})
        for name, value in handed_on.items():
            setattr(self, name, value)
        return self

    def _options(self) -> list[str]:
        """Return the names of the arguments beyond the parameters: all are looked at by `fit`."""
        own = self._get_param_names()
        return [name for name in vars(self) if name not in own and name.strip("_") == name]

    def _is_routed(self, name: str) -> bool:
        return any(name.startswith(prefix + "__") for prefix in self._prefixes)
