"""What a loss gets for its module where that is cut into stages.

The loss computes what the module is called with, which the first stage needs, and makes the loss of
what it returns, which the last stage has. So both call it: one for what comes before the module,
and one for what comes after.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

_REFUSED = (
    *("parameters", "named_parameters", "buffers", "named_buffers", "children", "named_children"),
    *("modules", "named_modules", "state_dict", "load_state_dict", "get_parameter", "get_buffer"),
    *("get_submodule", "apply", "eval", "train", "to", "zero_grad", "requires_grad_"),
)
_ALLOWED = (
    "in stages the loss gets a stand-in for the module, whose parts are on other "
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
    function : callable
        Is called with the positional arguments and the keywords.
    """

    _asked = ""

    def __init__(self, function: Callable[[tuple[Any, ...], dict[str, Any]], Any]) -> None:
        super().__init__()
        self._function = function
        self._n_calls = 0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Be called."""
        self._n_calls += 1
        if self._n_calls > 1:
            raise ValueError(f"loss calls the module more than once; {_ALLOWED}")
        return self._function(args, kwargs)

    def __getattr__(self, name: str) -> Any:
        # Python asks for such names itself, to copy or to show an object.
        if not name.startswith("__"):
            self._asked = self._asked or name
        raise AttributeError(_asks_for(name))

    def require_not_asked(self) -> None:
        """Raise AttributeError if the loss has caught one, as `hasattr` and `getattr` do.

        It would do other things than with the module.
        """
        if self._asked:
            raise AttributeError(_asks_for(self._asked))


def _asks_for(name: str) -> str:
    return f"loss asks for module.{name}; {_ALLOWED}"


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(self: StandIn, *args: Any, **kwargs: Any) -> Any:
        return self.__getattr__(name)

    return refuse


for _name in _REFUSED:
    setattr(StandIn, _name, _refusing(_name))


def arguments_of(loss: Callable[..., Any], batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a loss calls its module with.

    Raises
    ------
    ValueError
        It does not call it.
    AttributeError
        It asks for something else of it, even if it goes on without.
    """

    def stop(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise Called(args, kwargs)

    stand_in = StandIn(stop)
    try:
        loss(stand_in, batch)
    except Called as signal:
        stand_in.require_not_asked()
        return signal.args_given, signal.kwargs_given
    stand_in.require_not_asked()
    raise ValueError(f"loss does not call the module, or hides that it does; {_ALLOWED}")


def loss_after(loss: Callable[..., Any], batch: Any, output: Callable[[], Any]) -> Any:
    """Return what a loss makes of the module's output.

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

    stand_in = StandIn(answer)
    found = loss(stand_in, batch)
    stand_in.require_not_asked()
    if not called:
        raise ValueError(f"loss does not call the module; {_ALLOWED}")
    return found
