"""Answers come in the order of their requests, however long each takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import pytest

from ff_gateway.pipeline import answers_in_order


class Work:
    """Answers that end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.answers: dict[int, asyncio.Future[str]] = {}

    async def answer(self, request: int) -> str:
        self.begun.append(request)
        future = self.answers[request] = asyncio.get_running_loop().create_future()
        said: str = await future
        return said


async def requests(*numbers: int) -> AsyncIterator[int]:
    for number in numbers:
        yield number


async def turns() -> None:
    """Lets everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def work() -> Work:
    return Work()


async def test_requests_are_under_way_together_and_answered_in_order(work: Work) -> None:
    answers = answers_in_order(requests(1, 2, 3), work.answer, 10)
    first = asyncio.ensure_future(anext(answers))
    await turns()
    assert work.begun == [1, 2, 3]

    work.answers[2].set_result("b")
    await turns()
    assert not first.done()
    work.answers[1].set_result("a")
    work.answers[3].set_result("c")

    assert [await first, *[answer async for answer in answers]] == ["a", "b", "c"]


async def test_no_more_are_begun_than_may_be(work: Work) -> None:
    answers = answers_in_order(requests(1, 2, 3), work.answer, 2)
    first = asyncio.ensure_future(anext(answers))
    await turns()
    assert work.begun == [1, 2]

    work.answers[1].set_result("a")
    await first
    await turns()
    assert work.begun == [1, 2]  # nobody came back for the next answer: the first may not be taken yet
    second = asyncio.ensure_future(anext(answers))
    await turns()
    assert work.begun == [1, 2, 3]
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_an_error_comes_in_its_turn(work: Work) -> None:
    answers = answers_in_order(requests(1, 2), work.answer, 10)
    first = asyncio.ensure_future(anext(answers))
    await turns()
    work.answers[2].set_exception(ValueError("broken"))
    work.answers[1].set_result("a")

    assert await first == "a"
    with pytest.raises(ValueError, match="broken"):
        await anext(answers)


async def test_an_error_of_the_requests_comes_last(work: Work) -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("gone")

    answers = answers_in_order(broken(), work.answer, 10)
    first = asyncio.ensure_future(anext(answers))
    await turns()
    work.answers[1].set_result("a")

    assert await first == "a"
    with pytest.raises(ConnectionError):
        await anext(answers)


async def test_who_leaves_leaves_nothing_running(work: Work) -> None:
    answers = answers_in_order(requests(1, 2), work.answer, 10)
    first = asyncio.ensure_future(anext(answers))
    await turns()
    work.answers[1].set_result("a")
    await first

    await cast("AsyncGenerator[str, None]", answers).aclose()

    assert work.answers[2].cancelled()
