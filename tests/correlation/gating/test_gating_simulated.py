"""Services of many shapes in virtual time: what the gate claims is right, and where it can be shown, it is claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.correlation.gating.simulated import (
    MS,
    Plan,
    Seen,
    World,
    late,
    looked_up,
    optional,
    parallel,
    pooled,
    refreshed,
    sequence,
    shared_flight,
)


def retried(random: Random) -> Iterator[object]:
    """Three calls at once; now and then one of them twice, and another not at all."""
    yield 0.3
    yield ("a", "b", "c") if random.random() < 0.95 else ("a", "b", "b")
    yield 0.4


def then_one_more(_: Random) -> Iterator[object]:
    """Three calls at once, then a fourth."""
    yield 0.3
    yield ("a", "b", "c")
    yield 0.4
    yield "d"
    yield 0.3


SHAPES: dict[str, tuple[dict[str, Plan], float]] = {
    "one after another": ({"r": sequence("a", "b", "c")}, 0.97),
    "at once": ({"r": parallel("a", "b", "c")}, 0.9),
    "the same three times": ({"r": sequence("a", "a", "a")}, 0.9),
    "an optional call": ({"r": optional("a", "b", 0.3)}, 0.9),
    "a call after the response": ({"r": late("a", "b", after="z")}, 0.9),
    "two routes": ({"r": sequence("a", "b", "c"), "q": parallel("a", "d")}, 0.9),
    "at once, now and then otherwise": ({"r": retried}, 0.9),
    "at once, then one more": ({"r": then_one_more}, 0.9),
}


def right(seen: Seen, least: float) -> None:
    assert seen.wrong == 0
    assert seen.claimed >= least * seen.calls


@pytest.mark.parametrize("shape", SHAPES)
def test_at_thirteen_in_flight_nearly_everything_is_shown_and_nothing_wrongly(shape: str) -> None:
    routes, least = SHAPES[shape]
    right(World(routes, clients=13, requests=3400, seed=1).run(), least)


@pytest.mark.parametrize(("shape", "least"), [("one after another", 0.88), ("at once", 0.75)])
def test_what_was_seen_while_learning_counts_for_what_is_claimed_soon_after(shape: str, least: float) -> None:
    """That nothing called by itself meanwhile need not be shown once more."""
    routes, _ = SHAPES[shape]
    right(World(routes, clients=13, requests=500, seed=1).run(), least)


@pytest.mark.parametrize("shape", SHAPES)
def test_at_forty_in_flight_nothing_is_shown_wrongly(shape: str) -> None:
    routes, _ = SHAPES[shape]
    right(World(routes, clients=40, requests=1500, seed=2).run(), 0)


@pytest.mark.parametrize("clients", [2, 13])
@pytest.mark.parametrize(
    "make",
    [lambda: pooled(3), lambda: shared_flight("a", "b"), lambda: refreshed("a", "b", 100)],
    ids=["connections", "answers", "a cache"],
)
def test_what_requests_share_deceives_nobody(make: Callable[[], Plan], clients: int) -> None:
    assert World({"r": make()}, clients=clients, requests=2000, seed=1).run().wrong == 0


@pytest.mark.parametrize("clients", [5, 13])
@pytest.mark.parametrize("seed", [101, 102, 107, 201])
@pytest.mark.parametrize("others", [1, 5])
def test_requests_that_wait_for_the_call_of_another_are_not_taken_for_idle(
    clients: int, seed: int, others: int
) -> None:
    """What they do once it is answered looks like the doing of the one that called; others make the same calls."""
    routes = {"f": shared_flight("a", "b")} | {f"s{number}": sequence("a", "b") for number in range(others)}
    assert World(routes, clients=clients, requests=1200, seed=seed).run().wrong == 0


@pytest.mark.parametrize(("clients", "seed", "least"), [(13, 2, 0.7), (13, 100, 0.8), (26, 101, 0.6), (26, 102, 0.6)])
def test_two_routes_with_the_same_calls_are_learned_together(clients: int, seed: int, least: float) -> None:
    """What is learned of the one is not for ever spoilt by what is not known of the other."""
    routes = {"p": parallel("a", "b", "c"), "s": sequence("a", "b", "c")}
    right(World(routes, clients=clients, requests=1200, seed=seed).run(), least)


@pytest.mark.parametrize(("clients", "least"), [(1, 0.8), (5, 0.7), (13, 0.5)])
def test_ten_routes_are_learned(clients: int, least: float) -> None:
    routes = {f"s{number}": sequence(*"abcde"[number:]) for number in range(5)}
    routes |= {f"p{number}": parallel(*"abcde"[: number + 2]) for number in range(5)}
    right(World(routes, clients=clients, requests=2500, seed=1).run(), least)


@pytest.mark.parametrize("seed", [200, 201, 202, 203])
def test_who_seldom_makes_a_call_that_others_must_make_deceives_nobody(seed: int) -> None:
    """It is taken for that of one who must; then that one's own comes."""
    routes = {"o": optional("a", "b", 0.01), "s": sequence("b", "c")}
    assert World(routes, clients=26, requests=1200, seed=seed).run().wrong == 0


@pytest.mark.parametrize("clients", [5, 26])
def test_nothing_is_kept_of_requests_that_are_over(clients: int) -> None:
    """Once taken for still in flight, they would forbid every claim."""
    world = World({"p": parallel("a", "b", "c"), "s": sequence("a", "b", "c")}, clients=clients, requests=600, seed=102)
    world.run()
    world.gate.begin("last", "s", world.now + 1000 * MS)
    world.gate.respond("last", world.now + 1001 * MS)
    assert world.gate.in_flight == 0


@pytest.mark.parametrize("clients", [1, 3, 13])
@pytest.mark.parametrize("shape", ["one after another", "at once", "two routes"])
@pytest.mark.parametrize("seed", [1, 2])
def test_requests_that_come_past_the_gate_deceive_it_hardly_ever(shape: str, clients: int, seed: int) -> None:
    """Their calls are alike in everything; what contradicts is that the first of them is nobody's."""
    routes, _ = SHAPES[shape]
    seen = World(routes, clients=clients, requests=1500, seed=seed, unseen=0.2).run()
    assert seen.claimed > 0
    assert seen.wrong <= 2


def test_it_waits_little_and_throttles_little() -> None:
    for routes, least in (({"r": sequence("a", "b", "c")}, 0.95), ({"r": parallel("a", "b", "c")}, 0.9)):
        gated = World(routes, clients=13, requests=2500, seed=3).run()
        free = World(routes, clients=13, requests=2500, seed=3, gate=False).run()
        assert gated.wait(0.5) <= 1
        assert gated.wait(0.98) <= 20
        assert free.ended_ms >= least * gated.ended_ms


@pytest.mark.parametrize("every_ms", [300, 3000])
def test_where_something_calls_by_itself_that_edge_is_not_claimed_for_long(every_ms: int) -> None:
    world = World({"r": sequence("a", "b", "c")}, clients=5, requests=3000, seed=1, pollers={"b": every_ms})
    seen = world.run()
    assert seen.wrong == 0
    assert seen.claimed < 0.7 * seen.calls


@pytest.mark.parametrize("seed", [1, 5, 8, 12])
def test_a_poller_is_not_taken_for_calls_that_a_request_makes_now_and_then(seed: int) -> None:
    """One request after another, so that there is hardly a moment without one: the poller falls into every step."""
    seen = World({"r": sequence("a", "b", "c")}, clients=1, requests=2000, seed=seed, pollers={"b": 300}).run()
    assert seen.wrong == 0
    assert seen.claimed > 0.05 * seen.calls


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_calls_that_come_now_and_then_but_soon_are_claimed(share: float) -> None:
    seen = World({"r": looked_up(share)}, clients=13, requests=2000, seed=1).run()
    assert seen.wrong == 0
    assert seen.claimed > 0.9 * seen.calls


def test_a_service_that_is_too_slow_is_not_throttled_for_nothing() -> None:
    routes = {"r": sequence("a", "b", "c", median_ms=60)}
    gated = World(routes, clients=13, requests=3000, seed=1).run()
    free = World(routes, clients=13, requests=3000, seed=1, gate=False).run()
    assert gated.wrong == 0
    assert free.ended_ms >= 0.85 * gated.ended_ms


def test_the_same_happens_in_the_same_world() -> None:
    one, other = (World({"r": parallel("a", "b")}, clients=13, requests=500, seed=4).run() for _ in range(2))
    assert one == other


@settings(max_examples=25, deadline=None)
@given(
    shapes=st.lists(
        st.tuples(st.sampled_from(["sequence", "parallel", "optional", "late"]), st.permutations("abcd")),
        min_size=1,
        max_size=3,
    ),
    clients=st.integers(1, 30),
    upstream_ms=st.sampled_from([2.0, 20.0, 80.0]),
    own_ms=st.sampled_from([0.1, 0.5, 5.0]),
    seed=st.integers(0, 2**32),
)
def test_no_service_of_any_shape_makes_it_claim_wrongly(
    shapes: list[tuple[str, list[str]]], clients: int, upstream_ms: float, own_ms: float, seed: int
) -> None:
    routes: dict[str, Plan] = {}
    for number, (kind, edges) in enumerate(shapes):
        routes[f"r{number}"] = {
            "sequence": sequence(*edges[:3], median_ms=own_ms),
            "parallel": parallel(*edges[:3], median_ms=own_ms),
            "optional": optional(*edges[:2], 0.2),
            "late": late(*edges[:2], after=edges[2]),
        }[kind]
    seen = World(routes, clients=clients, requests=400, seed=seed, upstream_ms=upstream_ms).run()
    # Each claim may be wrong with the probability it gives itself; so many must not be.
    assert seen.wrong <= 1 + 0.001 * seen.claimed
