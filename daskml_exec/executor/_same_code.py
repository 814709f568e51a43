"""Whether Workers run the code of a user's modules that this process runs.

Functions and classes of a module that can be imported travel by name. A process that has imported
the module goes on with what it found then, whatever its file has become since.
"""

import hashlib
import sys
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from cloudpickle import list_registry_pickle_by_value

from daskml_exec.executor._ask_workers import ask_workers
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
        modules that define these, of those that they name, and of those that these import; but for
        installed packages.
    by_cloudpickle : bool, default=False
        Whether it is cloudpickle that brings them there, which can be told to bring the code, too.

    Raises
    ------
    WorkerMismatchError
        Naming the worker, the module, the function, and what to do.
    """
    by_value = list_registry_pickle_by_value() if by_cloudpickle else set()
    if executor is None or executor.in_process:
        return
    names = sorted(_modules_of(given, by_value))
    if not names or _first_difference(executor, names) is None:
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
        # What one of them lacks is not called, or cannot be found there, which says itself.
        for each in here[name].keys() & there.keys():
            if here[name][each] != there[each]:
                return address, name, each
    return None


def _asked(executor: "Executor", names: Sequence[str]) -> dict[tuple[str, str], Digests]:
    told = _told.setdefault(executor.client, {})
    addresses = executor.check_workers()
    pairs = [(address, name) for address in addresses for name in names]
    if new := sorted({address for address, name in pairs if (address, name) not in told}):
        answers = ask_workers(executor.client, new, _digests_of_all, names)
        for address, found in answers.items():
            if not isinstance(found, BaseException):
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
        if isinstance(value, ModuleType) or _module_of(value) != name:
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


def _modules_of(given: Iterable[Any], by_value: set[str]) -> set[str]:
    """Return the names of the user's modules that define these, or that they come to by names."""
    found: set[str] = set()
    waiting = list(given)
    seen = set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        name = _module_of(value)
        if name not in found and _is_looked_at(name, by_value):
            found.add(name)
            waiting += vars(sys.modules[name]).values()
        waiting += _behind(value)
    return found


def _module_of(value: Any) -> str:
    """Return the name of the module that defines a value, or that it is."""
    if isinstance(value, ModuleType):
        return value.__name__
    # No attribute of what may be anything is asked for.
    of_its_own = isinstance(value, type | FunctionType)
    name = (value if of_its_own else type(value)).__module__
    return name if isinstance(name, str) else "builtins"


def _behind(value: Any) -> Iterable[Any]:
    """Yield what a function or an object of the user's, wherever it was defined, comes to."""
    if isinstance(value, partial):
        yield value.func
    elif isinstance(value, MethodType):
        yield value.__func__
    elif isinstance(value, type):
        yield from (each for each in value.__mro__[1:] if _may_be_the_users(each.__module__))
        if _may_be_the_users(value.__module__):
            yield from (each for each in vars(value).values() if isinstance(each, FunctionType))
    elif isinstance(value, FunctionType) and _may_be_the_users(value.__module__):
        named = _names_in(value.__code__) & value.__globals__.keys()
        yield from (value.__globals__[name] for name in named)
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # it has not been filled yet
                yield cell.cell_contents
    elif _may_be_the_users(type(value).__module__) and not isinstance(value, ModuleType):
        yield type(value)


def _names_in(code: CodeType) -> set[str]:
    nested = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_names_in, nested))


def _may_be_the_users(name: Any) -> bool:
    return name == "__main__" or (isinstance(name, str) and _is_looked_at(name, set()))


def _is_looked_at(name: str, by_value: set[str]) -> bool:
    """Whether a module is the user's own, and travels by name."""
    package = name.partition(".")[0]
    if package in {"__main__", __name__.partition(".")[0], *sys.stdlib_module_names}:
        return False
    parents = {name[:at] for at, sign in enumerate(name) if sign == "."} | {name}
    file = getattr(sys.modules.get(name), "__file__", None)
    installed = bool({"site-packages", "dist-packages"} & set(Path(file or "").parts))
    return bool(file) and not installed and not parents & by_value
