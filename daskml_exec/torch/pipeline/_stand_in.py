"""What a loss gets for its module where that is cut into stages, and what scores get.

The loss computes what the module is called with, which the first stage needs, and makes the loss of
what it returns, which the last stage has. So both call it: one for what comes before the module,
and one for what comes after.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

_REFUSED = (
    *("parameters", "named_parameters", "buffers", "named_buffers", "children", "named_children"),
    *("modules", "named_modules", "state_dict", "load_state_dict", "get_parameter", "get_buffer"),
    *("get_submodule", "apply", "eval", "train", "to", "zero_grad", "requires_grad_"),
)


@dataclass(frozen=True)
class Caller:
    """What gets a stand-in for the module, and calls it.

    Attributes
    ----------
    function : callable
        ``function(module, batch)``.
    who : {"loss", "scores"}
        The argument that it is, for errors.
    training : bool
        Whether the module is in training.
    """

    function: Callable[[Any, Any], Any]
    who: str = "loss"
    training: bool = True

    @property
    def allowed(self) -> str:
        """What is allowed, for errors."""
        return (
            f"in stages {self.who} gets a stand-in for the module, whose parts are on other "
            "Workers; allowed is to call it once"
        )


class Called(BaseException):
    """The loss has called its module, and no more is to be known of it.

    No `Exception`, which a loss may catch.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.args_given, self.kwargs_given = args, kwargs


class StandIn(nn.Module):
    """A module that can be called once.

    Parameters
    ----------
    caller : Caller
    function : callable
        Is called with the positional arguments and the keywords.
    """

    _asked = ""

    def __init__(
        self, caller: Caller, function: Callable[[tuple[Any, ...], dict[str, Any]], Any]
    ) -> None:
        super().__init__()
        self._caller, self._function = caller, function
        self._n_calls = 0
        self.training = caller.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Be called."""
        self._n_calls += 1
        if self._n_calls > 1:
            caller = self._caller
            raise ValueError(f"{caller.who} calls the module more than once; {caller.allowed}")
        return self._function(args, kwargs)

    def __getattr__(self, name: str) -> Any:
        # Python asks for such names itself, to copy or to show an object.
        if not name.startswith("__"):
            self._asked = self._asked or name
        raise AttributeError(_asks_for(self._caller, name))

    def require_not_asked(self) -> None:
        """Raise AttributeError if the caller has caught one, as `hasattr` and `getattr` do.

        It would do other things than with the module.
        """
        if self._asked:
            raise AttributeError(_asks_for(self._caller, self._asked))


def _asks_for(caller: Caller, name: str) -> str:
    return f"{caller.who} asks for module.{name}; {caller.allowed}"


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(self: StandIn, *args: Any, **kwargs: Any) -> Any:
        return self.__getattr__(name)

    return refuse


for _name in _REFUSED:
    setattr(StandIn, _name, _refusing(_name))


def arguments_of(caller: Caller, batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a loss, or scores, call the module with.

    Raises
    ------
    ValueError
        It does not call it.
    AttributeError
        It asks for something else of it, even if it goes on without.
    """

    def stop(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise Called(args, kwargs)

    stand_in = StandIn(caller, stop)
    try:
        caller.function(stand_in, batch)
    except Called as signal:
        stand_in.require_not_asked()
        return signal.args_given, signal.kwargs_given
    stand_in.require_not_asked()
    raise ValueError(
        f"{caller.who} does not call the module, or hides that it does; {caller.allowed}"
    )


def loss_after(caller: Caller, batch: Any, output: Callable[[], Any]) -> Any:
    """Return what a loss, or scores, make of the module's output.

    Raises
    ------
    ValueError
        It does not call the module once.
    AttributeError
        It asks for something else of it, even if it goes on without.
    """
    called = []

    def answer(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        called.append(True)
        return output()

    stand_in = StandIn(caller, answer)
    found = caller.function(stand_in, batch)
    stand_in.require_not_asked()
    if not called:
        raise ValueError(f"{caller.who} does not call the module; {caller.allowed}")
    return found
