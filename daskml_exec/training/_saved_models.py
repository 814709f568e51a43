"""Save fitted estimators, and open them again: one format for all, and never a pickle."""

import importlib
import inspect
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

from sklearn.impute import MissingIndicator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from daskml_exec.kernels.arrays import Array
from daskml_exec.training._left_out import LeftOut
from daskml_exec.training._model_files import from_bytes, to_bytes
from daskml_exec.training._model_values import VALUES
from daskml_exec.training._sklearn_callbacks import SKLEARN_CALLBACKS
from daskml_exec.training._state_trees import Adapter, put_together, take_apart
from daskml_exec.training._whole_files import Url, read_whole, write_whole

# Functions that listen to a fit are no part of what it found.
_LISTENERS = "callbacks"
_PARAMETERS = "parameters"


@dataclass(frozen=True)
class _Known:
    """An estimator that can be saved, and the classes that its attributes may be of."""

    estimator: Any
    states: tuple[type, ...]
    code: tuple[str, ...] = ()
    """Parameters that may be functions and classes, which files do not hold."""
    fitted: tuple[str, ...] = ()
    """Names of attributes that it does not declare: of scikit-learn's."""
    values: tuple[Adapter, ...] = ()
    """How values are written that only estimators of its kind have."""

    def parameters(self) -> set[str]:
        """Return the names of parameters; those that are handed on begin with one of them."""
        return set(self.estimator._get_param_names())

    def needed(self) -> set[str]:
        """Return the names of parameters without a default."""
        found = inspect.signature(self.estimator).parameters.values()
        named = (each for each in found if each.kind is not each.VAR_KEYWORD)
        return {each.name for each in named if each.default is each.empty}

    def left_out(self, parameters: Mapping[str, Any]) -> list[str]:
        """Return the names of parameters that are code, whose default would be another."""
        found = inspect.signature(self.estimator).parameters
        return [
            name
            for name in self.code
            if _is_code(parameters.get(name)) and parameters[name] is not found[name].default
        ]

    def handed_on(self, name: str) -> bool:
        """Return whether it is a parameter such as ``module__width``."""
        return name.split("__")[0] in getattr(self.estimator, "_prefixes", ()) and "__" in name

    def adapters(self) -> tuple[Adapter, ...]:
        """Return how values are written, in the order in which they are asked."""
        return *self.values, *_ADAPTERS

    def attributes(self) -> set[str]:
        """Return the names that it declares for what a fit sets."""
        hints = typing.get_type_hints(self.estimator)
        declared = {name for name, hint in hints.items() if typing.get_origin(hint) is not ClassVar}
        return {*declared, *self.fitted, *getattr(self.estimator, "_private", ())}


_KNOWN: dict[str, _Known] = {}
_HOLDERS = {
    "Pipeline": _Known(Pipeline, ()),
    "FunctionTransformer": _Known(
        FunctionTransformer,
        (),
        fitted=("n_features_in_", "feature_names_in_", "_sklearn_output_config"),
    ),
    "MissingIndicator": _Known(
        MissingIndicator,
        (),
        fitted=(
            *("features_", "_n_features", "_precomputed", "_sklearn_output_config"),
            *("n_features_in_", "feature_names_in_"),
        ),
    ),
}
"""Of scikit-learn, what puts estimators of this package together."""
_OF_EXTRAS = dict.fromkeys(
    ("TorchClassifier", "TorchEstimator", "TorchRegressor"), "daskml_exec.torch._public"
)
"""What is known once a package is imported that needs an extra."""


def let_save(
    estimators: tuple[type, ...],
    *,
    states: tuple[type, ...],
    code: tuple[str, ...] = (),
    values: tuple[Adapter, ...] = (),
) -> None:
    """Let these estimators be saved and opened, by the names of their classes.

    What is saved of them are their parameters, and those attributes that the class declares: those
    that it has annotations for.

    Parameters
    ----------
    estimators : tuple of classes
    states : tuple of classes
        The frozen dataclasses and Enums that attributes may be of, or hold. Files have the index
        of a class in it: a new one comes last.
    code : tuple of str, default=()
        Parameters that may be functions and classes. Files do not hold those, and `open_model` is
        given them.
    values : tuple of Adapter, default=()
        How parameters and attributes of further kinds are written, or in another way than usual.

    Raises
    ------
    ValueError
        Another class has the name.
    """
    for estimator in estimators:
        made = _Known(estimator, states, code, values=values)
        known = _KNOWN.setdefault(estimator.__name__, made)
        if known.estimator is not estimator:
            raise ValueError(
                f"{estimator!r} has the name of {known.estimator!r}; files say which by the name"
            )


def save(model: Any, url: Url, *, notes: Mapping[str, Any] | None = None) -> None:
    """Write an estimator of this package into one file, which `open_model` reads.

    The file is safetensors, with JSON in its metadata, and holds no pickle: reading it runs none of
    its contents. It has the parameters, the fitted attributes, `history_`, and what `explain` and
    `partial_fit` need. An array has its attribute's name, such as "coef_" or "coefs_[0]".

    Parameters
    ----------
    model : estimator
        One of this package, or a `sklearn.pipeline.Pipeline` of such, fitted or not. Its
        `callbacks` are left out: they are None in what is opened; so is what scikit-learn's
        `set_callbacks` was called with. A RandomState is kept as it is
        now. Functions, such as a vectorizer's `tokenizer`, are code, and refused.
    url : str or path
        A path, or a URL of a file system that fsspec knows. What is there is replaced, on this
        machine's disks in one step.
    notes : mapping, optional
        What else to keep, such as where the data is from: of what JSON can hold. It stands in the
        metadata as "notes".

    Raises
    ------
    TypeError
        `model` is no such estimator, or a parameter or attribute is no plain data; the message
        names it.

    See Also
    --------
    open_model : Reads it.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec import open_model, save
    >>> from daskml_exec.linear_model import Ridge
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> model = Ridge().fit(X, [1.0, 3.0, 5.0])
    >>> save(model, "memory://ridge.safetensors")
    >>> again = open_model("memory://ridge.safetensors")
    >>> again, bool((again.predict(X) == model.predict(X)).all())
    (Ridge(), True)
    """
    if not (notes is None or isinstance(notes, Mapping)):
        raise TypeError(
            f"{notes=} is a {type(notes).__name__}; allowed are None, and a mapping of what "
            "JSON can hold: notes={'about': ...}"
        )
    name = type(model).__name__
    known = _found(name)
    if known is None or known.estimator is not type(model):
        raise TypeError(
            f"model is of {type(model).__module__}.{type(model).__qualname__}; allowed are "
            f"{_names()}"
        )
    arrays, about = _taken_apart(model, known)
    metadata = {"daskml_exec_version": _release(), "notes": dict(notes or {}), **about}
    try:
        data = to_bytes(arrays, metadata)
    except (TypeError, ValueError) as error:
        raise TypeError(f"notes={notes!r} is not what JSON can hold: {error}") from error
    write_whole(url, data)


def open_model(url: Url, **given: Any) -> Any:
    """Return the estimator that `save` wrote.

    It predicts to the bit what the saved one does, and `partial_fit` goes on as if there had been
    no file between.

    Parameters
    ----------
    url : str or path
        A path, or a URL of a file system that fsspec knows.
    **given : object
        Parameters that files do not hold, by name: the ``module=`` of estimators of
        `daskml_exec.torch`, whose parameters must have the names and shapes that were saved, and
        to train on their ``loss=`` and whatever else was a function or a class. What is not given
        here is set by ``set_params`` before that.

    Returns
    -------
    estimator
        Of the class that was saved, with `callbacks` None.

    Raises
    ------
    ValueError
        The file is not one that `save` wrote, or is damaged, or of a newer format, or holds an
        estimator that is not known here, or needs something given.
    TypeError
        Something is given that is in the file.
    OSError
        There is no such file, or it cannot be read.

    See Also
    --------
    save : Writes it.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec import open_model, save
    >>> from daskml_exec.neural_network import MLPClassifier
    >>> X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), ["no", "no", "yes", "yes"]
    >>> model = MLPClassifier((4,), random_state=0)
    >>> model = model.partial_fit(X, y, classes=["no", "yes"])
    >>> save(model, "memory://model.safetensors")
    >>> again = open_model("memory://model.safetensors").partial_fit(X, y)
    >>> again.loss_curve_ == model.partial_fit(X, y).loss_curve_
    True
    """
    try:
        arrays, metadata = from_bytes(read_whole(url), release=_release())
        known = _known(metadata.get("estimator"))
    except ValueError as error:
        raise ValueError(f"cannot open {url}: {error}") from error
    try:
        return _put_together(known, arrays, metadata, given)
    except ValueError as error:
        raise ValueError(
            f"cannot open {url}: what daskml_exec {metadata.get('daskml_exec_version')} wrote does "
            f"not fit this release, {_release()}: {error}"
        ) from error


def _taken_apart(model: Any, known: _Known) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays of an estimator, and all else about it."""
    name = known.estimator.__name__
    parameters = model.get_params(deep=False)
    code = [name for name in known.code if _is_code(parameters.get(name))]
    left_out = {*parameters, SKLEARN_CALLBACKS, *getattr(model, "_made_again", ())}
    fitted = {key: value for key, value in vars(model).items() if key not in left_out}
    odd = [key for key in fitted if key not in known.attributes()]
    if odd:
        raise TypeError(
            f"model has the attributes {odd}, which {name} does not declare, and which would be "
            f"lost; delete them, or keep what they hold in `notes`"
        )
    given = {key: value for key, value in parameters.items() if key not in (*code, _LISTENERS)}
    for key, value in given.items():
        if inspect.isroutine(value) or isinstance(value, partial):
            raise TypeError(
                f"{name}.{_PARAMETERS}.{key} is a function, {value!r}, and files hold no code; "
                "allowed is plain data, such as the name of what scikit-learn has itself"
            )
    arrays, state = take_apart(
        {_PARAMETERS: given, **fitted}, known.states, adapters=known.adapters(), root=name
    )
    return arrays, {
        "estimator": name,
        "left_out": known.left_out(parameters),
        "state": state,
    }


def _put_together(
    known: _Known, arrays: Mapping[str, Array], about: Mapping[str, Any], given: dict[str, Any]
) -> Any:
    """Return the estimator that was taken apart so."""
    name = known.estimator.__name__
    content = put_together(
        arrays, about.get("state"), known.states, adapters=known.adapters(), root=name
    )
    model = _estimator(known, content, given, about.get("left_out"))
    if hasattr(model, "_opened"):
        model._opened()
    return model


def _is_saved(value: Any) -> bool:
    known = _found(type(value).__name__)
    return known is not None and known.estimator is type(value)


def _inner_parts(model: Any) -> dict[str, Any]:
    arrays, about = _taken_apart(model, _known(type(model).__name__))
    return {"arrays": arrays, "about": json.dumps(about)}


def _inner_model(parts: Any) -> Any:
    if not (isinstance(parts, dict) and set(parts) == {"arrays", "about"}):
        raise ValueError("these are not the parts of an estimator")
    about = json.loads(parts["about"])
    return _put_together(_known(about.get("estimator")), parts["arrays"], about, {})


_ADAPTERS = (
    *VALUES,
    Adapter("model", "estimators of this package", _is_saved, _inner_parts, _inner_model),
)
"""Estimators may hold others, as pipelines do."""


def _known(name: Any) -> _Known:
    if isinstance(name, str) and name not in _KNOWN and name in _OF_EXTRAS:
        importlib.import_module(_OF_EXTRAS[name])
    known = _found(name)
    if known is None:
        raise ValueError(
            f"it holds an estimator of the class {name!r}; known are {_names()}. "
            "daskml_exec.open_model knows all of this package"
        )
    return known


def _found(name: Any) -> _Known | None:
    return (_KNOWN.get(name) or _HOLDERS.get(name)) if isinstance(name, str) else None


def _is_code(value: Any) -> bool:
    return callable(value) or isinstance(value, LeftOut)


def _estimator(known: _Known, content: Any, given: dict[str, Any], left_out: Any) -> Any:
    """Return the estimator; a parameter that is newer than the file has its default."""
    name = known.estimator.__name__
    if not isinstance(content, dict) or not isinstance(content.get(_PARAMETERS), dict):
        raise ValueError(f"it has no parameters of {name}")
    parameters = content.pop(_PARAMETERS)
    for kind, found, names in (
        ("parameters", [key for key in parameters if not known.handed_on(key)], known.parameters()),
        ("attributes", content, known.attributes()),
    ):
        odd = [key for key in found if key not in names]
        if odd:
            raise ValueError(f"{name} has no {kind} {odd}")
    if odd := [key for key in given if key not in known.code]:
        allowed = f"allowed are {', '.join(known.code)}" if known.code else "nothing is allowed"
        raise TypeError(f"open_model is given {odd}; for a {name}, {allowed}")
    missing = {*(left_out or ()), *known.needed()} & {*known.code} - parameters.keys()
    model = known.estimator(**{**{key: LeftOut(key) for key in missing}, **parameters, **given})
    vars(model).update(content)
    return model


def _names() -> str:
    return ", ".join(sorted(_KNOWN)) or "none, before a package of estimators is imported"


def _release() -> str:
    try:
        return version("daskml-exec")
    except PackageNotFoundError:  # a source tree on the path
        return "unknown"
