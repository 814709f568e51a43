"""What runs have left on a cluster: nothing, once they are closed and all have heard of it."""

import time

from daskml_exec.executor.peers._runs import PLUGIN


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def on_worker(dask_worker=None):
    """Messages, resident units, and files of runs."""
    plugin = dask_worker.plugins[PLUGIN]
    folder = plugin.files._folder
    files = [] if folder is None else [path.name for path in folder.iterdir()]
    return len(plugin.mailbox), len(plugin.residents), files


def on_scheduler(dask_scheduler=None):
    """Runs that are open, those admitted or waiting, and tasks of members."""
    plugin = dask_scheduler.plugins[PLUGIN]
    tasks = [str(key) for key in dask_scheduler.tasks if "member_task" in repr(key)]
    return list(plugin._runs), list(plugin._admission._queue), tasks


def until_nothing_is_left(client):
    until(lambda: client.run_on_scheduler(on_scheduler) == ([], [], []))
    until(lambda: all(found == (0, 0, []) for found in client.run(on_worker).values()))
