"""Work among peers: tasks that run at the same time, one per worker, and talk to one another.

Arrays stay resident on their workers from one segment of work to the next. The scheduler owns the
truth about which generation of a run is current; workers refuse what belongs to older ones.
"""

from daskml_exec.executor.peers._commits import (
    Commit,
    Staged,
    commit_of,
    restore,
    survey,
    worth_keeping,
    write_to_next,
)
from daskml_exec.executor.peers._errors import PeersInterrupted, PeerTimeoutError
from daskml_exec.executor.peers._exchange import BlockExchange
from daskml_exec.executor.peers._member_task import Answer
from daskml_exec.executor.peers._peer import Peer, Source
from daskml_exec.executor.peers._peer_group import PeerGroup

__all__ = [
    "Answer",
    "BlockExchange",
    "Commit",
    "Peer",
    "PeerGroup",
    "PeerTimeoutError",
    "PeersInterrupted",
    "Source",
    "Staged",
    "commit_of",
    "restore",
    "survey",
    "worth_keeping",
    "write_to_next",
]
