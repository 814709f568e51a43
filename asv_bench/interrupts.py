"""A notebook's stop button in mid-fit: seconds to stop, and whether the next fit runs.

``cd asv_bench; python -m interrupts`` starts a real Jupyter kernel without a terminal, opens an
Executor with two worker processes in it, and interrupts fits as the stop button does: SIGINT to
the kernel's process group, to which the workers belong. For each it prints the seconds until `fit`
has returned, and until the cell has ended, with the traceback that IPython draws; what ended it;
how many lines came from the cluster; and the seconds of the next fit on the same Executor. Give
names of fits to run only those.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from jupyter_client import BlockingKernelClient, KernelManager

PATIENCE = 300

SETUP = """
import os, warnings
import numpy as np
from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.neural_network import MLPClassifier

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.normal(size=(100_000, 50))
y = (X[:, 0] + rng.logistic(size=len(X)) > 0).astype(int)
executor = Executor(n_workers=2).__enter__()
pids = [worker.pid for worker in executor.workers()]
linear = dict(tol=0, max_iter=10**6)
network = dict(hidden_layer_sizes=(256, 256), max_iter=10**6, n_iter_no_change=np.inf)

def tell(event):
    if event.record.round == 1:
        print("running", flush=True)
"""
FITS = {
    "linear": "LogisticRegression(solver='averaging', **linear, callbacks=[tell]).fit(X, y)",
    "linear, a grid": "LogisticRegression(parallel='model', **linear, callbacks=[tell]).fit(X, y)",
    "network": "MLPClassifier(**network, callbacks=[tell]).fit(X, y)",
    "network, in blocks": (
        "MLPClassifier(**network, parallel='model', n_blocks=2, callbacks=[tell]).fit(X, y)"
    ),
    "network, hybrid": (
        "MLPClassifier(**network, parallel='hybrid', n_blocks=2, callbacks=[tell]).fit(X, y)"
    ),
}
CELL = """
try:
    {fit}
except KeyboardInterrupt:
    print("returned", flush=True)
    raise
"""
NEXT = """
LogisticRegression(max_iter=1).fit(X, y)
assert [worker.pid for worker in executor.workers()] == pids, "other workers"
"""


def run(client: BlockingKernelClient, code: str, on_text: Callable[[str], None]) -> dict[str, Any]:
    """Run a cell; return the reply."""

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            on_text(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=hear, timeout=PATIENCE)
    content: dict[str, Any] = reply["content"]
    return content


def must(client: BlockingKernelClient, code: str) -> float:
    """Run a cell that has to succeed; return its seconds."""
    started, told = time.perf_counter(), []
    reply = run(client, code, told.append)
    if reply["status"] != "ok":
        raise RuntimeError("\n".join([*reply.get("traceback", []), *told]))
    return time.perf_counter() - started


def interrupt(manager: KernelManager, client: BlockingKernelClient, fit: str) -> str:
    """Run a fit, press the button when it runs, fit once more; return a line of the table."""
    at: dict[str, float] = {}
    beside: list[str] = []

    def on_text(text: str) -> None:
        for line in text.splitlines():
            if line not in ("running", "returned"):
                beside.append(line)
            elif line not in at:
                at[line] = time.perf_counter()
                if line == "running":
                    manager.interrupt_kernel()

    reply = run(client, CELL.format(fit=fit), on_text)
    ended_at = time.perf_counter()
    returned, ended = at["returned"] - at["running"], ended_at - at["running"]
    following = must(client, NEXT)
    by = reply.get("ename", reply["status"])
    told = "".join(f"\n    {line}" for line in beside)
    return f"{returned:9.2f} {ended:9.2f}  {by:<18} {len(beside):6d} {following:9.2f}{told}"


def main(names: list[str]) -> None:
    """Interrupt the fits with these names, and print the table."""
    manager = KernelManager()
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        must(client, SETUP)
        titles = f"{'returned':>9} {'cell':>9}  {'ended by':<18} {'lines':>6} {'next fit':>9}"
        print(f"{'fit':<20}{titles}")
        for name in names:
            print(f"{name:<20}{interrupt(manager, client, FITS[name])}", flush=True)
        print(f"closed in {must(client, 'executor.__exit__(None, None, None)'):.2f} s")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(FITS))
