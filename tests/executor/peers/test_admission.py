"""One run at a time, in the order in which they asked."""

import asyncio

from daskml_exec.executor.peers._admission import Admission


def scenario(coroutine):
    """Run a test's coroutine; what hangs is an error, not a wait."""
    asyncio.run(asyncio.wait_for(coroutine, 30))


async def settle():
    """Let everything happen that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_first_come_first_served():
    async def run():
        admission, admitted = Admission(), []

        async def segment(name):
            await admission.enter(name)
            admitted.append(name)

        waiting = [asyncio.create_task(segment(name)) for name in "abc"]
        await settle()
        assert admitted == ["a"]
        admission.leave("a")
        await settle()
        assert admitted == ["a", "b"]
        waiting.append(asyncio.create_task(segment("a")))  # its next segment: behind the others
        await settle()
        admission.leave("b")
        await settle()
        admission.leave("c")
        await asyncio.gather(*waiting)
        assert admitted == ["a", "b", "c", "a"]

    scenario(run())


def test_one_that_goes_while_it_waits():
    async def run():
        admission = Admission()
        await admission.enter("a")
        gone, third = (asyncio.create_task(admission.enter(name)) for name in "bc")
        await settle()
        admission.leave("b")
        await gone
        assert not third.done()
        admission.leave("a")
        await third

    scenario(run())


def test_one_that_has_the_workers_already():
    async def run():
        admission = Admission()
        await admission.enter("a")
        await admission.enter("a")
        other = asyncio.create_task(admission.enter("b"))
        await settle()
        assert not other.done()
        admission.leave("a")
        await other

    scenario(run())


def test_to_leave_without_having_come_changes_nothing():
    async def run():
        admission = Admission()
        admission.leave("never came")
        await admission.enter("a")
        admission.leave("never came")
        other = asyncio.create_task(admission.enter("b"))
        await settle()
        assert not other.done()
        other.cancel()

    scenario(run())
