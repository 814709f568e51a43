"""torchft's LocalSGD in two processes: ``python -m peers.torchft_server FOLDER``.

Runs in an interpreter that has torchft. A request says what to train (`rounds` of `steps`, `fit`,
`score`, `plan`) and, with `kill`, after which round one of the processes is killed; another is
started at once in its place, as a supervisor would do.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from torchft.coordination import LighthouseServer

from peers.serve import respond

REPLICAS = 2


class Replica:
    """A process, what it has said, and a thread that listens."""

    def __init__(self, request: dict[str, Any], heard: Callable[["Replica"], None]) -> None:
        self.said: list[dict[str, Any]] = []
        self.ready = threading.Event()
        self._heard = heard
        self.process = subprocess.Popen(
            [sys.executable, "-m", "peers.torchft_replica", json.dumps(request)],
            env=os.environ | {"GLOO_SOCKET_IFNAME": "lo", "RUST_LOG": "error"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    @property
    def rounds(self) -> list[dict[str, Any]]:
        return [line for line in self.said if "round" in line]

    def begin(self) -> None:
        self.ready.wait()
        print("begin", file=self.process.stdin, flush=True)

    def end(self) -> dict[str, Any]:
        """Wait for it; return its last words."""
        self.process.wait()
        self._listener.join()
        if not self.said or "digest" not in self.said[-1]:
            raise RuntimeError(f"a replica ended with {self.process.returncode}: {self.said[-1:]}")
        return self.said[-1]

    def _listen(self) -> None:
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            if "ready" in self.said[-1]:
                self.ready.set()
            self._heard(self)
        self.ready.set()  # or whoever waits for one that has died would wait for ever


def answer(folder: str, *, kill: int | None = None, **asked: Any) -> dict[str, Any]:
    # With fewer they would not begin together, and train apart from the first round on.
    lighthouse = LighthouseServer(bind="127.0.0.1:0", min_replicas=REPLICAS)
    port = lighthouse.address().rsplit(":", 1)[1]
    common = {"folder": folder, "replicas": REPLICAS, "lighthouse": f"http://127.0.0.1:{port}"}
    due = threading.Event()

    def heard(replica: Replica) -> None:
        if replica is replicas[-1] and kill is not None and len(replica.rounds) == kill:
            due.set()

    replicas: list[Replica] = []
    for number in range(REPLICAS):
        replicas.append(Replica({**common, **asked, "replica": number}, heard))
    try:
        for replica in replicas:
            replica.begin()
        if kill is not None:
            due.wait()
            killed = replicas.pop()
            before, after = killed.rounds[-2:]
            time.sleep((after["at"] - before["at"]) / 2)  # in the middle of the next round
            killed.process.kill()
            replicas.append(
                Replica({**common, **asked, "replica": REPLICAS - 1}, lambda replica: None)
            )
            replicas[-1].begin()
        ends = [replica.end() for replica in replicas]
    finally:
        for replica in replicas:
            replica.process.kill()
        lighthouse.shutdown()
    rounds = replicas[0].rounds
    numbers = [line["round"] for line in rounds]
    again = len(numbers) - len(set(numbers))
    last = max(replica.rounds[-1]["at"] for replica in replicas if replica.rounds)
    return {
        "seconds": last - rounds[0]["at"],
        "digests": sorted({end["digest"] for end in ends}),
        "score": ends[0]["score"],
        "remark": f"{again} rounds thrown away by the first replica",
    }


if __name__ == "__main__":
    respond(lambda request: answer(sys.argv[1], **request))
