"""What a task raised, as it travels: any exception, and no harm to the worker that ran it.

Dask lets a task's SystemExit and KeyboardInterrupt through, to the worker's event loop, which ends.
A StopIteration cannot pass a coroutine, and some exceptions cannot be pickled. So whatever a task
raises is carried to the driver inside an ordinary exception, with traceback, causes and notes.
"""

import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
from dask.sizeof import sizeof
from tblib import pickling_support

from daskml_exec.executor._cancelled import NotWanted

# Of the text that stands for the exception in a worker's log and on the dashboard.
_TEXT_LENGTH = 1_000


class Raised(Exception):
    """An exception that carries another one.

    Parameters
    ----------
    pickled : bytes
        The exception, or what stands for one that cannot be pickled.
    text : str
        What it looks like.
    """

    def __init__(self, pickled: bytes, text: str) -> None:
        super().__init__(pickled, text)
        self.pickled = pickled
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def original(self) -> BaseException:
        """Return what the task raised, a new object in each call."""
        try:
            raised = pickle.loads(self.pickled)
        except BaseException as error:  # it runs code of the user's
            return RuntimeError(
                f"{self.text} was raised by a task; the exception cannot be unpickled here: {error}"
            )
        return raised if isinstance(raised, BaseException) else RuntimeError(self.text)


@sizeof.register(Raised)
def _nbytes(raised: Raised) -> int:
    return len(raised.pickled) + len(raised.text)


def carried(error: BaseException) -> Raised:
    """Return an ordinary exception that carries `error`.

    Its own traceback is that of `error`, for Dask's log and dashboard.
    """
    text = _text_of(error)
    try:
        pickling_support.install(error)  # with traceback and causes
        pickled = cloudpickle.dumps(error)
        # Some exceptions cannot be made from what they pickle, or run code that fails.
        if not isinstance(pickle.loads(pickled), type(error)):
            raise TypeError(f"it unpickles as something else than a {type(error).__qualname__}")
    except BaseException as problem:  # it runs code of the user's
        pickled = _pickled_stand_in(error, text, problem)
    return Raised(pickled, text).with_traceback(error.__traceback__)


def guarded(
    function: Callable[..., Any], *arguments: Any, failed: Callable[[Exception], Any] = carried
) -> Any:
    """Return what a call returns, or what is made of an exception that it raises."""
    try:
        return function(*arguments)
    except NotWanted:  # no failure: the task itself is to end
        raise
    except Exception as error:
        return failed(error)


def original(error: BaseException) -> BaseException:
    """Return what a task raised, where `error` carries it; else `error`, which is Dask's own."""
    return error.original() if isinstance(error, Raised) else error


def _pickled_stand_in(error: BaseException, text: str, problem: BaseException) -> bytes:
    stand_in = RuntimeError(
        f"{text} was raised by a task; the exception cannot be pickled: {problem}"
    ).with_traceback(error.__traceback__)
    for note in getattr(error, "__notes__", ()):
        stand_in.add_note(str(note))
    try:
        pickling_support.install(stand_in)
        return cloudpickle.dumps(stand_in)
    except Exception:  # the traceback holds what cannot be pickled
        return cloudpickle.dumps(RuntimeError(str(stand_in)))


def _text_of(error: BaseException) -> str:
    try:
        text = repr(error)
    except Exception:
        text = type(error).__qualname__
    return text if len(text) <= _TEXT_LENGTH else text[:_TEXT_LENGTH] + "..."
