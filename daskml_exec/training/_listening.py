"""What all estimators share that can be listened to: whom they tell, and what events show."""

import copy
from collections.abc import Sequence
from typing import Any

from sklearn.base import BaseEstimator

from daskml_exec.training._events import Callback, Reached
from daskml_exec.training._lines import RoundLines
from daskml_exec.training._sklearn_callbacks import CallbackSupportMixin
from daskml_exec.training._telling import begin


class ListeningEstimator(CallbackSupportMixin, BaseEstimator):
    """Base of all estimators, which have the arguments `callbacks` and perhaps `verbose`."""

    def _callbacks(self) -> list[Callback]:
        given = list(self.callbacks or [])
        for callback in given:
            if not callable(callback) or isinstance(callback, type):
                raise TypeError(
                    f"callbacks has {callback!r}, which cannot be called; allowed are functions "
                    "of a RoundEvent, and objects that are called with one; scikit-learn's own are "
                    "set by set_callbacks(...)"
                )
        return given

    def _listeners(self, plan: str, reached: Reached) -> Sequence[Callback]:
        """Tell that training begins, by this plan, and return whom to tell of rounds."""
        lines = [RoundLines()] if self._tells else []
        return begin([*lines, *self._callbacks()], plan, reached)

    def _say(self, line: str) -> None:
        if self._tells:
            print(f"{type(self).__name__}: {line}")

    @property
    def _tells(self) -> bool:
        return bool(getattr(self, "verbose", 0))

    def _like_this(self) -> Any:
        """Return an estimator with the same arguments and features, not fitted."""
        other = type(self)(**self.get_params(deep=False))
        return self._copy_fitted(other)

    def _copy_fitted(self, model: Any, *names: str) -> Any:
        """Copy fitted attributes to another model."""
        for name in (*names, "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(model, name, copy.deepcopy(getattr(self, name)))
        return model
