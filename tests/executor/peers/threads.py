"""Members of a run as threads of this process, which reach one another without a cluster."""

import contextlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from daskml_exec.executor.peers._files import BlockFiles
from daskml_exec.executor.peers._mailbox import Mailbox
from daskml_exec.executor.peers._peer import Peer
from daskml_exec.executor.peers._residents import Residents
from daskml_exec.executor.peers._runs import Run

PATIENCE = 30  # seconds
RUN_ID = "0" * 32


class InMemoryOutbox:
    """Files messages by reference, as workers of one process do, and notes how far chunks are."""

    def __init__(self):
        self.mailboxes = {}
        self.under_way = Counter()
        self.most_under_way = 0

    def send(self, address, run, tag, arrays, about=None, *, token=""):
        if "chunk" in tag:
            self.under_way[tag[:-3]] += 1
            self.most_under_way = max(self.most_under_way, *self.under_way.values())
        if "taken" in tag:
            self.under_way[tag[:-3]] -= 1
        self.mailboxes[address].file(run, tag, (list(arrays), about))


class Members:
    """Workers that all live; `folder` is where their disks are."""

    def __init__(self, addresses, folder=None):
        self.outbox = InMemoryOutbox()
        self.outbox.mailboxes = {address: Mailbox() for address in addresses}
        self.files = {address: BlockFiles(folder / address) for address in addresses if folder}
        self.residents = {address: Residents() for address in addresses}

    def peers(self, addresses=None, generation=1, timeout=PATIENCE):
        """Return a generation's members, of all workers or of some of them."""
        addresses = sorted(self.outbox.mailboxes if addresses is None else addresses)
        return [
            Peer(
                run=Run(RUN_ID, generation),
                index=index,
                members=addresses,
                ids=[f"start of {address}" for address in addresses],
                timeout=timeout,
                mailbox=self.outbox.mailboxes[address],
                outbox=self.outbox,
                residents=self.residents[address],
                files=self.files.get(address),
                fetch=None,
            )
            for index, address in enumerate(addresses)
        ]

    def left(self):
        """Return how many messages nobody has taken."""
        return sum(map(len, self.outbox.mailboxes.values()))


def at_once(peers, function, *more):
    """Call ``function(peer, ...)`` in a thread for each peer; return the results in order."""
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(peers)))
        return list(pool.map(function, peers, *more))
