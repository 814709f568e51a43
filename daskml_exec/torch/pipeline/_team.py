"""The Workers that have stages of one replica, among all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daskml_exec.executor.peers import Peer
from daskml_exec.kernels.arrays import Array


@dataclass(frozen=True)
class Team:
    """A `Member` of those that take a replica's steps together.

    Attributes
    ----------
    peer : Peer
    owners : tuple of int
        Per stage of the replica, the member that has it.
    replica : int
        Tells what they send from what teams with the same members send.
    """

    peer: Peer
    owners: tuple[int, ...]
    replica: int

    @property
    def index(self) -> int:
        """Of this member among all."""
        return self.peer.index

    @property
    def others(self) -> list[int]:
        """The indices of the others that have stages of it."""
        return sorted(set(self.owners) - {self.index})

    def send(
        self, to: int, tag: Any, arrays: Sequence[Array], about: Any = None, *, slot: Any = None
    ) -> None:
        """Send arrays."""
        slot = None if slot is None else (self.replica, *slot)
        self.peer.send(to, (*tag, self.replica), arrays, about, slot=slot)

    def take(self, sender: int, tag: Any) -> tuple[list[Any], Any]:
        """Return what a member has sent."""
        return self.peer.take(sender, (*tag, self.replica))

    def require_current(self) -> None:
        """Raise unless the work is still wanted."""
        self.peer.require_current()
