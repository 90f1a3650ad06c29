"""Virtual time: asyncio's own order, no waiting, and an error where a program would hang."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.benchmarks.scheduling.virtual_time import Deadlock, run


@given(st.lists(st.floats(0.0, 1e7), max_size=30))
def test_sleepers_wake_at_their_time_in_order(delays: list[float]) -> None:
    async def program() -> list[tuple[float, float]]:
        woken: list[tuple[float, float]] = []

        async def sleeper(delay: float) -> None:
            await asyncio.sleep(delay)
            woken.append((asyncio.get_running_loop().time(), delay))

        await asyncio.gather(*map(sleeper, delays))
        return woken

    woken = run(program())
    assert sorted(delay for _, delay in woken) == sorted(delays)
    times = [at for at, _ in woken]
    assert times == sorted(times)
    for at, delay in woken:
        assert at == pytest.approx(delay, rel=1e-12, abs=2e-9)


def test_days_pass_at_once_and_the_clock_starts_anew() -> None:
    async def program() -> float:
        await asyncio.sleep(1e6)
        return asyncio.get_running_loop().time()

    assert run(program()) == 1e6
    assert run(program()) == 1e6


def test_wait_for_gives_up_at_the_virtual_time() -> None:
    async def program() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 5.0)
        assert await asyncio.wait_for(asyncio.sleep(1.0, "in time"), 5.0) == "in time"
        return asyncio.get_running_loop().time()

    assert run(program()) == pytest.approx(6.0)


def test_what_would_hang_is_a_deadlock_and_tasks_are_cancelled() -> None:
    cancelled = []

    async def waits_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def program() -> None:
        await asyncio.sleep(3.0)
        await asyncio.gather(waits_for_ever(), waits_for_ever())

    with pytest.raises(Deadlock, match="At 3 s"):
        run(program())
    assert cancelled == [True, True]


def test_two_runs_take_the_same_course() -> None:
    async def program() -> list[int]:
        queue: asyncio.Queue[int] = asyncio.Queue(3)
        seen: list[int] = []

        async def producer(first: int) -> None:
            for number in range(first, first + 20):
                await queue.put(number)
                await asyncio.sleep((number % 3) * 0.1)

        async def consumer() -> None:
            while True:
                seen.append(await queue.get())
                await asyncio.sleep(0.05)

        consumers = [asyncio.create_task(consumer()) for _ in range(3)]
        await asyncio.gather(producer(0), producer(100))
        await asyncio.sleep(10)
        for task in consumers:
            task.cancel()
        return seen

    first = run(program())
    assert sorted(first) == [*range(20), *range(100, 120)]
    assert run(program()) == first
