"""What clients do, with a fake service: the same for threads and for asyncio."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import gradmill as gm
import numpy as np
import pytest
from gradmill.async_client import AsyncClient
from gradmill.client import Client
from gradmill.errors import InvalidRequestError, UnavailableError
from gradmill.settings import Batching, RetryPolicy, Settings
from gradmill.v1 import graph_pb2
from gradmill.wishes import as_wish

from tests.client.fakes import DIGEST, AsyncFakeTransport, FakeService, FakeTransport

FAST = RetryPolicy(initial_backoff_seconds=0.001, maximum_backoff_seconds=0.001)
SMALL = Settings(batching=Batching(message_bytes=160), retries=FAST)
Call = Callable[..., Any]


def call_in_threads(fake: FakeService, settings: Settings, use: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - any result
    """Use a client for threads."""
    with Client(FakeTransport(fake), settings) as client:
        return use(client)


def call_in_asyncio(fake: FakeService, settings: Settings, use: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - any result
    """Use a client for asyncio."""

    async def run() -> Any:  # noqa: ANN401 - any result
        async with AsyncClient(AsyncFakeTransport(fake), settings) as client:
            return await use(client)

    return asyncio.run(run())


@pytest.fixture(params=[call_in_threads, call_in_asyncio], ids=["threads", "asyncio"])
def run(request: pytest.FixtureRequest) -> Call:
    """Return what runs one call of a client of either kind against a fake service."""

    def call(fake: FakeService, use: Callable[[Any], Any], settings: Settings = SMALL) -> Any:  # noqa: ANN401 - any result
        return request.param(fake, settings, use)

    return call


def test_both_clients_have_the_same_methods() -> None:
    """What can be done with threads can be done with asyncio, with the same arguments."""
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_"):
            twin = getattr(AsyncClient, name)
            assert inspect.signature(method).parameters == inspect.signature(twin).parameters
            assert inspect.iscoroutinefunction(twin) or "AsyncGenerator" in inspect.signature(twin).return_annotation


def test_a_matrix_gives_a_matrix(run: Call) -> None:
    """Values come as one array, gradients as a matrix with a column for each input."""
    points = np.arange(6.0).reshape(3, 2)
    result = run(FakeService(), lambda client: client.gradient("a + 10*b", points))
    assert np.array_equal(result.values, points @ [1.0, 10.0])
    assert np.array_equal(result.gradient, [[1.0, 10.0]] * 3)
    assert result.digest == DIGEST
    assert result.all_finite
    assert result.point_flags.shape == (3,)
    assert result.stable_forms == ("log1p",)


def test_one_point_gives_a_float_and_a_vector(run: Call) -> None:
    """A list of the inputs' values gives one value and one gradient."""
    result = run(FakeService(), lambda client: client.value_and_gradient("a + 10*b", [1, 2]))
    assert result.values == 21.0
    assert isinstance(result.values, float)
    assert np.array_equal(result.gradient, [1.0, 10.0])


def test_a_mapping_gives_a_mapping(run: Call) -> None:
    """Gradients come by input name when points do, as floats for one point."""
    result = run(FakeService(), lambda client: client.gradient("a + 10*b", {"a": 1, "b": 2}))
    assert (result.values, result.gradient) == (21.0, {"a": 1.0, "b": 10.0})
    result = run(FakeService(), lambda client: client.gradient("a + 10*b", {"a": [1, 2], "b": 2}))
    assert np.array_equal(result.values, [21.0, 22.0])
    assert {name: array.tolist() for name, array in result.gradient.items()} == {"a": [1.0, 1.0], "b": [10.0, 10.0]}


def test_a_value_has_no_gradient(run: Call) -> None:
    """Asking for values alone computes nothing else."""
    result = run(FakeService(), lambda client: client.value("a + 10*b", [[1, 2]]))
    assert result.gradient is None
    assert result.values.tolist() == [21.0]


@pytest.mark.parametrize(("names", "columns"), [("b", [10.0]), (["b", "a"], [1.0, 10.0]), (None, [1.0, 10.0])])
def test_derivatives_by_some_inputs_come_in_declared_order(run: Call, names: object, columns: list[float]) -> None:
    """Only the wanted inputs have columns, in the order of the function's inputs."""
    result = run(FakeService(), lambda client: client.gradient("a + 10*b", [1, 2], with_respect_to=names))
    assert result.gradient.tolist() == columns


@pytest.mark.parametrize("names", ["c", ["a", "a"]])
def test_a_wish_for_an_unknown_input_is_refused(run: Call, names: object) -> None:
    """A name that is no input is refused before anything is evaluated."""
    fake = FakeService()
    with pytest.raises(gm.InvalidRequestError, match="with_respect_to"):
        run(fake, lambda client: client.gradient("a + 10*b", [1, 2], with_respect_to=names))
    assert "Evaluate" not in fake.calls


def test_a_big_batch_travels_in_pieces_and_comes_back_in_order(run: Call) -> None:
    """A batch beyond one message is cut, and put together again in the order of its points."""
    fake = FakeService()
    points = np.random.default_rng(1).normal(size=(95, 2))
    reports: list[tuple[int, int]] = []
    result = run(fake, lambda client: client.gradient("f", points, progress=lambda *report: reports.append(report)))
    assert np.array_equal(result.values, points @ [1.0, 10.0])
    assert sorted(fake.rows) == [5, *[10] * 9]
    assert reports[-1] == (95, 95)
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert result.cache == "miss"
    assert result.timings.compute_seconds == pytest.approx(0.02)


def test_a_big_batch_by_name_is_cut_too(run: Call) -> None:
    """Per-point arrays are cut, shared values travel with every piece."""
    fake = FakeService()
    values = np.arange(50.0)
    result = run(fake, lambda client: client.gradient("f", {"a": values, "b": 2.0}))
    assert np.array_equal(result.values, values + 20.0)
    assert np.array_equal(result.gradient["b"], np.full(50, 10.0))
    assert fake.rows == [20, 20, 10]


def test_no_points_give_empty_results(run: Call) -> None:
    """A batch of no points is checked by the server like any other, and gives empty arrays."""
    result = run(FakeService(), lambda client: client.gradient("f", np.zeros((0, 2))))
    assert result.values.shape == (0,)
    assert result.gradient.shape == (0, 2)


def test_a_formula_is_registered_once_and_then_named_by_its_digest() -> None:
    """The text of a formula travels once per client."""
    fake = FakeService()
    with Client(FakeTransport(fake)) as client:
        client.value("f", [1, 2])
        client.value(gm.formula("f"), [1, 2])
    assert fake.calls == ["RegisterFunction", "Evaluate", "Evaluate"]
    assert fake.forms == ["digest", "digest"]


def test_a_forgotten_function_is_sent_again_unseen() -> None:
    """A server that restarts between two calls is invisible to its callers."""
    fake = FakeService()
    with Client(FakeTransport(fake), SMALL) as client:
        client.value("f", [1, 2])
        fake.has_function = False
        assert client.value("f", np.ones((30, 2))).values.tolist() == [11.0] * 30
        assert "formula" in fake.forms


def test_a_traced_function_needs_no_registration() -> None:
    """A traced function's first call brings the function along, later ones its digest."""
    a, b = gm.inputs("a", "b")
    f = a + 10 * b
    fake = FakeService(digest=f.digest)
    with Client(FakeTransport(fake)) as client:
        for _ in range(2):
            assert client.gradient(f, [1, 2]).values == 21.0
    assert fake.calls == ["Evaluate", "Evaluate"]
    assert fake.forms == ["graph", "digest"]


def test_a_big_first_batch_registers_before_it_is_cut() -> None:
    """A function travels once even when its first batch needs many messages."""
    a, b = gm.inputs("a", "b")
    f = a + 10 * b
    fake = FakeService(digest=f.digest)
    with Client(FakeTransport(fake), SMALL) as client:
        client.gradient(f, np.ones((40, 2)))
    assert fake.calls[0] == "RegisterFunction"
    assert set(fake.forms) == {"digest"}


def test_a_graph_message_is_a_function(run: Call) -> None:
    """A graph made by any other program can be evaluated as it is."""
    result = run(FakeService(), lambda client: client.value(graph_pb2.Graph(), [1, 2]))
    assert result.values == 21.0


def test_a_digest_is_a_function_while_the_server_knows_it(run: Call) -> None:
    """A digest alone is enough for a server that has the function, and an error for one that has not."""
    fake = FakeService()
    with pytest.raises(gm.NotFoundError) as caught:
        run(fake, lambda client: client.value(DIGEST, [1, 2]))
    assert "instead of its digest" in caught.value.advice
    fake.has_function = True
    assert run(fake, lambda client: client.value(DIGEST, [1, 2])).values == 21.0


@pytest.mark.parametrize("function", [3, None, ["x"]])
def test_what_is_no_function_is_refused(run: Call, function: object) -> None:
    """Something that cannot be a function is refused with what can."""
    with pytest.raises(TypeError, match="is no function: pass a formula"):
        run(FakeService(), lambda client: client.value(function, [1, 2]))


def test_a_short_digest_is_refused(run: Call) -> None:
    """A digest of the wrong length is refused before anything is sent."""
    with pytest.raises(gm.InvalidRequestError, match="32 bytes, not 3"):
        run(FakeService(), lambda client: client.value(b"abc", [1, 2]))


def test_failures_of_a_moment_are_not_seen(run: Call) -> None:
    """A server that is away for a moment costs time, not an error."""
    fake = FakeService([UnavailableError("away")] * 3)
    assert run(fake, lambda client: client.value("f", np.ones((30, 2)))).values.tolist() == [11.0] * 30


def test_the_first_lasting_failure_ends_a_batch(run: Call) -> None:
    """One refused message ends the call with the refusal, whatever the others do."""
    fake = FakeService()

    def use(client: Any) -> Any:  # noqa: ANN401 - a client of either kind
        fake.failures = []
        fake.rows = []
        original = fake.answer

        def answer(method: str, body: bytes, timeout_seconds: float | None = None) -> bytes:
            if len(fake.rows) >= 3:
                message = "row 7 is wrong"
                raise gm.InvalidRequestError(message)
            return original(method, body, timeout_seconds)

        fake.answer = answer  # type: ignore[method-assign]
        return client.value("f", np.ones((300, 2)))

    with pytest.raises(gm.InvalidRequestError, match="row 7"):
        run(fake, use)


def test_a_timeout_covers_the_whole_call(run: Call) -> None:
    """The time left shrinks from message to message."""
    fake = FakeService()
    run(fake, lambda client: client.value("f", [1, 2], timeout=5.0))
    assert len(fake.timeouts) == 2
    assert all(timeout is not None and timeout <= 5.0 for timeout in fake.timeouts)
    fake.timeouts.clear()
    run(fake, lambda client: client.value("f", [1, 2]))
    assert all(timeout is not None and timeout <= 60.0 for timeout in fake.timeouts)
    fake.timeouts.clear()
    run(fake, lambda client: client.value("f", [1, 2], timeout=float("inf")))
    assert fake.timeouts == [None, None]


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_greater_than_zero(run: Call, timeout: float) -> None:
    """A timeout that nothing could meet is refused."""
    with pytest.raises(ValueError, match="not a number of seconds greater than zero"):
        run(FakeService(), lambda client: client.value("f", [1, 2], timeout=timeout))


def test_a_closed_client_says_so() -> None:
    """Using a client after closing it is an error of its own, and closing twice is none."""
    fake = FakeService()
    client = Client(FakeTransport(fake))
    client.close()
    client.close()
    assert fake.closed == 1
    with pytest.raises(gm.ClientClosedError):
        client.value("f", [1, 2])


def test_a_server_that_disagrees_on_a_digest_is_found_out() -> None:
    """Client and server that number a function differently do not exchange wrong results."""
    a, b = gm.inputs("a", "b")
    with Client(FakeTransport(FakeService(digest=bytes(32)))) as client, pytest.raises(gm.ServerError, match="digest"):
        client.register(a + b)


def test_register_tells_about_the_function(run: Call) -> None:
    """Registering a function gives its digest, inputs and outputs."""
    info = run(FakeService(), lambda client: client.register("f"))
    assert info.input_names == ("a", "b")
    assert info.outputs == (gm.OutputInfo("value"),)
    assert info.digest == DIGEST


@pytest.mark.parametrize("body", [b"\xff\xff", b""])
def test_an_answer_that_breaks_the_contract_is_an_error(body: bytes) -> None:
    """Bytes that are no answer, and answers that lack what was asked, are the server's fault."""
    fake = FakeService()
    with Client(FakeTransport(fake)) as client:
        client.register("f")
        fake.answer = lambda *_: body  # type: ignore[method-assign]
        with pytest.raises(gm.ServerError) as caught:
            client.value("f", [1, 2])
    assert caught.value.reason == "RESPONSE_INVALID"


def test_differentiating_by_nothing_is_a_mistake() -> None:
    """An empty list of inputs is not taken for all of them."""
    with pytest.raises(InvalidRequestError, match="with_respect_to is empty"):
        as_wish("gradient", [])
