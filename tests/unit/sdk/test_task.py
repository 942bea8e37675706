"""What `@task` makes of a function, and what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import FrozenInstanceError, dataclass
from typing import Any, cast

import pytest
from pydantic import ValidationError

from flowfabric import Context, Task, task

CONTEXT = cast("Context", object())


@dataclass
class Order:
    item: str


def test_the_kind_is_the_name_of_the_function() -> None:
    @task
    def count(data: bytes) -> int:
        return len(data)

    assert isinstance(count, Task)
    assert (count.kind, count.lane) == ("count", "default")


def test_kind_and_lane_can_be_given() -> None:
    @task(kind="mail.send", lane="mail")
    def send() -> None: ...

    assert (send.kind, send.lane) == ("mail.send", "mail")


def test_a_task_is_still_the_function() -> None:
    @task
    def double(n: int) -> int:
        return 2 * n

    assert double(4) == 8


def test_a_task_cannot_be_changed() -> None:
    @task
    def nothing() -> None: ...

    with pytest.raises(FrozenInstanceError):
        nothing.kind = "other"  # type: ignore[misc]


def test_the_annotation_says_how_to_read_the_input() -> None:
    @task
    def ship(order: Order) -> None: ...

    assert ship.handler.arguments(b'{"item": "book"}', CONTEXT) == [Order("book")]
    with pytest.raises(ValidationError):
        ship.handler.arguments(b"{}", CONTEXT)


def test_a_type_local_to_the_caller_is_found() -> None:
    @dataclass
    class Local:
        x: int

    @task
    def take(local: Local) -> None: ...

    assert take.handler.arguments(b'{"x": 1}', CONTEXT) == [Local(1)]


def test_the_return_annotation_says_how_to_write_the_result() -> None:
    @task
    def order() -> Order:
        return Order("pen")

    assert order.handler.encode(Order("pen")) == b'{"item":"pen"}'


def test_without_a_return_annotation_the_value_says_it() -> None:
    @task
    def anything():  # type: ignore[no-untyped-def]
        return None

    assert anything.handler.encode({"a": 1}) == b'{"a":1}'


def test_the_context_goes_where_it_is_wanted() -> None:
    @task
    def first(context: Context, data: bytes) -> None: ...
    @task
    def last(data: bytes, context: Context) -> None: ...
    @task
    def only(context: Context) -> None: ...

    assert first.handler.arguments(b"d", CONTEXT) == [CONTEXT, b"d"]
    assert last.handler.arguments(b"d", CONTEXT) == [b"d", CONTEXT]
    assert only.handler.arguments(b"d", CONTEXT) == [CONTEXT]


def test_a_default_stands_for_an_empty_payload() -> None:
    @task
    def wait(seconds: int = 3) -> None: ...

    assert wait.handler.arguments(b"", CONTEXT) == [3]
    assert wait.handler.arguments(b"5", CONTEXT) == [5]


def test_async_is_told_from_blocking() -> None:
    @task
    async def on_the_loop() -> None: ...
    @task
    def in_a_thread() -> None: ...

    assert on_the_loop.handler.is_async
    assert not in_a_thread.handler.is_async


def two_inputs(a: int, b: int) -> None: ...
def two_contexts(a: Context, b: Context) -> None: ...
def unannotated(a) -> None: ...  # type: ignore[no-untyped-def]
def many(*items: int) -> None: ...
def keyword_only(*, a: int) -> None: ...
def unknown_type(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "advice"),
    [
        (two_inputs, "put the inputs into one dataclass or pydantic model"),
        (two_contexts, "take one"),
        (unannotated, "annotate a with its type"),
        (many, r"\*items: .int. is not a plain parameter"),
        (keyword_only, "a: .int. is not a plain parameter"),
        (unknown_type, "import or define the type before the task"),
        (generator, "use Context.emit"),
        (async_generator, "use Context.emit"),
        (lambda: None, "is no kind"),
    ],
)
def test_a_signature_that_does_not_fit_is_refused_with_advice(
    function: Callable[..., Any], advice: str
) -> None:
    with pytest.raises(TypeError, match=advice):
        task(function)


def test_a_kind_the_engine_would_refuse_is_refused() -> None:
    with pytest.raises(TypeError, match="give kind="):
        task(kind="no spaces")(two_inputs)
