"""What a step needs of the Worker that takes it: a `Peer`, or what stands for one in a test."""

from collections.abc import Sequence
from typing import Any, Protocol

from daskml_exec.kernels.arrays import Array


class Member(Protocol):
    """What a step needs of a `Peer`."""

    @property
    def index(self) -> int:
        """Of this member among all."""

    @property
    def others(self) -> list[int]:
        """The indices of the other members."""

    def send(
        self, to: int, tag: Any, arrays: Sequence[Array], about: Any = None, *, slot: Any = None
    ) -> None:
        """Send arrays."""

    def take(self, sender: int, tag: Any) -> tuple[list[Any], Any]:
        """Return what a member has sent."""

    def require_current(self) -> None:
        """Raise unless the work is still wanted."""
