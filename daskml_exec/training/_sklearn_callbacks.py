"""scikit-learn's own callbacks as a listener of ours: a fit is a task, an epoch one within.

From 1.9 on, scikit-learn has `set_callbacks`. Its callbacks hear of tasks, which form a tree: a
Pipeline's has the fits of its steps. Ours begin at our begin, and end with ours.
"""

from typing import Any

from daskml_exec.training._events import BeginEvent, Callback, EndEvent, RoundEvent

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks
except ImportError:  # before 1.9 nobody can have set any

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands where scikit-learn has none."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is."""
        return method


SKLEARN_CALLBACKS = "_skl_callbacks"
"""The attribute in which `set_callbacks` keeps them."""


def sklearn_listeners(estimator: Any, X: Any, y: Any, sample_weight: Any) -> list[Callback]:
    """Return the listener for the callbacks that were set, or propagated by a meta-estimator.

    Parameters
    ----------
    estimator : estimator
        Whose fit it is.
    X, y, sample_weight : object
        What `fit` was called with; callbacks get it as it is.

    Returns
    -------
    list of callables
        Empty where there are no callbacks.
    """
    return [_Tasks(estimator, X, y, sample_weight)] if hasattr(estimator, SKLEARN_CALLBACKS) else []


class _Tasks:
    """Tells of a fit, and of each epoch or iteration in it, as tasks.

    A task ends with the round that completes it. Only then the next one begins, so that there are
    never more than the limit. A fit that ends within one ends it without a model, as
    scikit-learn's LogisticRegression does.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self._estimator = estimator
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._hook = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._ended = 0

    def on_begin(self, event: BeginEvent) -> None:
        self._unit, self._limit = event.reached.unit, event.reached.limit
        try:
            self._fit = self._estimator._init_callback_context(max_subtasks=self._limit)
            self._fit.call_on_fit_task_begin(**self._hook)
            self._begin_task()
        except BaseException:
            _tear_down(self._estimator)  # those that were set up
            raise

    def __call__(self, event: RoundEvent) -> bool:
        stops = False
        # Rounds that are repeated after a loss do not come to the end of a task anew.
        while self._task and event.reached and event.reached.done >= self._ended + 1:
            stops |= self._task.call_on_fit_task_end(
                **self._hook, reconstruction_attributes=lambda: vars(event.estimator)
            )
            self._ended += 1
            self._begin_task()
        return stops

    def on_end(self, event: EndEvent) -> None:
        try:
            if event.error is None:
                self._end_tasks()
        finally:
            _tear_down(self._estimator)

    def _begin_task(self) -> None:
        self._task = None
        if self._ended < self._limit:
            self._task = self._fit.subcontext(task_name=self._unit)
            self._task.call_on_fit_task_begin(**self._hook)

    def _end_tasks(self) -> None:
        if self._task:
            self._task.call_on_fit_task_end(estimator=self._estimator)
        self._fit.call_on_fit_task_end(**self._hook, reconstruction_attributes={})


@with_callbacks
def _tear_down(estimator: Any) -> None:
    """Do nothing; scikit-learn then does what it does at the end of each `fit`."""
