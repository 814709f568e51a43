"""What a module has that training leaves as it is, on whichever Worker it falls to."""

from torch import nn

from daskml_exec.torch._layout import counters_of, statistics_of


class Constants:
    """Frozen parameters, and buffers that are neither averaged nor counted.

    One copy of a module trains several partitions one after the other. What it left behind in one
    would change the next, by which of them fall to the same Worker.

    Parameters
    ----------
    module : nn.Module
        As it is to stay.
    """

    def __init__(self, module: nn.Module) -> None:
        averaged = {
            id(each) for each in (*statistics_of(module).values(), *counters_of(module).values())
        }
        self._buffers = [
            (part, name, buffer, None if buffer is None else buffer.detach().clone())
            for part in module.modules()
            for name, buffer in part._buffers.items()
            if id(buffer) not in averaged
        ]
        self._versions = [0 if each is None else each._version for _, _, each, _ in self._buffers]
        self._frozen = [
            (name, each, each._version)
            for name, each in module.named_parameters()
            if not each.requires_grad
        ]

    def restore(self) -> None:
        """Make buffers, such as caches, what they were."""
        for i, (part, name, buffer, values) in enumerate(self._buffers):
            part._buffers[name] = buffer
            if buffer is not None and values is not None and buffer._version != self._versions[i]:
                buffer.detach().copy_(values)
                self._versions[i] = buffer._version

    def require_frozen(self) -> None:
        """Raise ValueError if the module has changed parameters that are not trained."""
        for name, parameter, version in self._frozen:
            if parameter._version != version:
                raise ValueError(
                    f"the module changes {name!r} while it is trained, which has "
                    "requires_grad=False; allowed are changes of buffers, which are averaged: "
                    "register_buffer"
                )
