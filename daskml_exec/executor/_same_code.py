"""Whether Workers run the code of a user's modules that this process runs.

Functions and classes of a module that can be imported travel by name. A process that has imported
the module goes on with what it found then, whatever its file has become since.
"""

import hashlib
import sys
import weakref
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from cloudpickle import list_registry_pickle_by_value

from daskml_exec.executor._failures import WorkerMismatchError

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor

Digests = Mapping[str, str]
"""Of each function of a module and of its classes, by its name there."""

# By the Client: of workers, by address, what they have told of modules. They never reload one.
_told: "weakref.WeakKeyDictionary[Any, dict[tuple[str, str], Digests]]" = (
    weakref.WeakKeyDictionary()
)


def require_same_code(
    executor: "Executor | None", given: Iterable[Any], *, by_cloudpickle: bool = False
) -> None:
    """Raise if a worker has imported a module when its file was another than it was here.

    Parameters
    ----------
    executor : Executor or None
    given : iterable of functions, classes and objects
        What the user gave, to be called on workers. Looked at are the functions and classes of the
        modules that define these, but for installed packages.
    by_cloudpickle : bool, default=False
        Whether it is cloudpickle that brings them there, which can be told to bring the code, too.

    Raises
    ------
    WorkerMismatchError
        Naming the worker, the module, the function, and what to do.
    """
    by_value = list_registry_pickle_by_value() if by_cloudpickle else set()
    names = sorted({name for name in _modules_of(given) if _is_looked_at(name, by_value)})
    if executor is None or not names:
        return
    if _first_difference(executor, names) is None:
        return
    _told.pop(executor.client, None)  # a new process may have come with the address of an old one
    found = _first_difference(executor, names)
    if found is not None:
        address, name, other = found
        instead = (
            "; or let the module travel with each fit, by "
            f"cloudpickle.register_pickle_by_value({name})"
        )
        raise WorkerMismatchError(
            f"the worker {address} runs another {name}.{other} than this process: one of them has "
            "imported the module before its file was changed. Allowed is the same code: "
            f"importlib.reload here and a new Executor there{instead if by_cloudpickle else ''}"
        )


def _first_difference(executor: "Executor", names: Sequence[str]) -> tuple[str, str, str] | None:
    """Return a worker, a module, and the function of it that is another one there."""
    here = {name: digests_of(name) for name in names}
    for (address, name), there in _asked(executor, names).items():
        for each in {**here[name], **there}:
            if here[name].get(each) != there.get(each):
                return address, name, each
    return None


def _asked(executor: "Executor", names: Sequence[str]) -> dict[tuple[str, str], Digests]:
    told = _told.setdefault(executor.client, {})
    addresses = executor.check_workers()
    pairs = [(address, name) for address in addresses for name in names]
    if new := sorted({address for address, name in pairs if (address, name) not in told}):
        answers = executor.client.run(_digests_of_all, names, workers=new, on_error="return")
        for address, found in answers.items():
            if not isinstance(found, BaseException):  # it is gone, or cannot import these
                told.update({(address, name): each for name, each in found.items() if each})
    return {pair: told[pair] for pair in pairs if pair in told}


def _digests_of_all(names: Sequence[str]) -> dict[str, Digests]:
    return {name: digests_of(name) for name in names}


def digests_of(name: str) -> Digests:
    """Return digests of the functions of a module, and of its classes; none if not imported.

    Parameters
    ----------
    name : str
        Of the module.
    """
    found = {}
    for key, value in vars(sys.modules.get(name, ModuleType(name))).items():
        if getattr(value, "__module__", None) != name:
            continue
        members = vars(value) if isinstance(value, type) else {"": value}
        for member, each in members.items():
            function = getattr(each, "__func__", getattr(each, "fget", each))
            if isinstance(function, FunctionType):
                digest = hashlib.sha256(repr(_content(function.__code__)).encode())
                found[f"{key}.{member}".rstrip(".")] = digest.hexdigest()
    return found


def _content(code: CodeType) -> Any:
    """Return what makes a code object do what it does: not the lines on which it stands."""
    constants = [
        _content(each)
        if isinstance(each, CodeType)
        else sorted(map(repr, each))
        if isinstance(each, frozenset)
        else each
        for each in code.co_consts
    ]
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return code.co_code, names, code.co_argcount, code.co_kwonlyargcount, code.co_flags, constants


def _modules_of(given: Iterable[Any]) -> Iterable[str]:
    """Yield the names of the modules that define these."""
    for value in given:
        while isinstance(value, partial):
            value = value.func
        kind = value if hasattr(value, "__qualname__") else type(value)
        for each in kind.__mro__ if isinstance(kind, type) else (kind,):
            yield getattr(each, "__module__", None) or "builtins"


def _is_looked_at(name: str, by_value: set[str]) -> bool:
    """Whether a module is the user's own, and travels by name."""
    package = name.partition(".")[0]
    if package in {"__main__", __name__.partition(".")[0], *sys.stdlib_module_names}:
        return False
    parents = {name[:at] for at, sign in enumerate(name) if sign == "."} | {name}
    file = getattr(sys.modules.get(name), "__file__", None)
    installed = bool({"site-packages", "dist-packages"} & set(Path(file or "").parts))
    return bool(file) and not installed and not parents & by_value
