"""Which workers there are, whatever else the Client asks meanwhile."""

from daskml_exec.executor import workers_now


def test_what_the_client_asks_by_itself_does_not_come_in_between(executor, monkeypatch):
    client = executor.client
    asked = client._update_scheduler_info

    async def and_again(**options):
        await asked(**options)
        await asked()  # as it does every other second, for no workers

    monkeypatch.setattr(client, "_update_scheduler_info", and_again)
    assert len(executor.workers()) == len(workers_now(client)) == len(client.nthreads())


def test_of_a_closed_client_it_is_what_was_told_last(executor, monkeypatch):
    told = {"workers": {"tcp://1": {"nthreads": 1}}}
    monkeypatch.setattr(executor.client, "status", "closed")
    monkeypatch.setattr(executor.client, "_scheduler_identity", told)
    assert workers_now(executor.client) == told["workers"]
