"""What a habit says of what follows, from the reactions it has met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceaudit.correlation.gating.habits import ENOUGH, FEW, RESPONSE, Gaps, Habit, Habits, Occasion

MS = 1_000_000


def habit(*reactions: tuple[int, tuple[str, ...]]) -> Habit:
    """A habit that has met each of these reactions so many times."""
    found = Habit()
    for times, outputs in reactions:
        for _ in range(times):
            found.learn(outputs, [MS] * len(outputs))
    return found


def test_nothing_is_known_before_a_few_were_met_and_nothing_is_sure_before_enough_were() -> None:
    assert habit((FEW - 1, ("a",))).prospect(()).anything
    few = habit((FEW, ("a",))).prospect(())
    assert (few.anything, few.sure, few.usual) == (False, False, frozenset("a"))
    assert habit((ENOUGH, ("a",))).prospect(()).sure


@pytest.mark.parametrize(
    ("reactions", "seen", "usual", "may_end", "responds"),
    [
        (((20, ("a",)),), (), {"a"}, False, False),
        (((20, ("a",)),), ("a",), set(), True, False),
        (((20, ("a", "b", "c")),), ("b",), {"a", "c"}, False, False),
        (((20, ("a", "a")),), ("a",), {"a"}, False, False),
        (((15, ("a",)), (5, (RESPONSE,))), (), {"a"}, False, True),
        (((15, ("a",)), (5, ("a", "b"))), ("a",), {"b"}, True, False),
        (((99, ("a",)), (1, ("a", "b"))), ("a",), set(), True, False),  # too rare to be waited for
        (((20, ()),), (), set(), True, False),
        (((20, (RESPONSE, "z")),), (RESPONSE,), {"z"}, False, False),
    ],
)
def test_what_may_follow_is_what_the_reactions_that_began_alike_went_on_with(
    reactions: tuple[tuple[int, tuple[str, ...]], ...],
    seen: tuple[str, ...],
    usual: set[str],
    may_end: bool,
    responds: bool,
) -> None:
    prospect = habit(*reactions).prospect(seen)
    assert (prospect.usual, prospect.may_end, prospect.responds) == (usual, may_end, responds)


def test_a_reaction_that_was_never_met_may_go_on_in_any_way() -> None:
    assert habit((20, ("a",))).prospect(("b",)).anything


def test_what_is_rare_is_not_waited_for_but_may_happen() -> None:
    prospect = habit((99, ("a",)), (1, ("a", "b"))).prospect(("a",))
    assert prospect.chances == {"b": 0.01}
    assert not prospect.silent


def test_where_too_many_kinds_were_met_there_is_no_habit() -> None:
    assert habit(*((1, tuple("a" * number)) for number in range(100))).prospect(()).anything


@pytest.mark.parametrize(
    ("reactions", "seen", "total"),
    [
        (((20, ("a", "b")),), ("b",), ("a", "b")),
        (((20, ("a", "b")), (20, ("a", "c"))), ("b",), ("a", "b")),
        (((20, ("a", "b")), (20, ("a", "c"))), ("a",), None),
        (((FEW - 1, ("a",)),), (), None),
        (((20, ("a",)),), ("b",), None),
    ],
)
def test_the_end_of_a_reaction_is_known_where_there_is_only_one(
    reactions: tuple[tuple[int, tuple[str, ...]], ...], seen: tuple[str, ...], total: tuple[str, ...] | None
) -> None:
    assert habit(*reactions).total(seen) == total


@given(st.lists(st.integers(0, 10**9), max_size=200), st.integers(0, 10**10), st.integers(0, 10**10))
def test_longer_gaps_are_never_likelier(seen: list[int], one: int, other: int) -> None:
    gaps = Gaps()
    gaps.add(seen)
    assert gaps.later(min(one, other)) >= gaps.later(max(one, other)) > 0


@given(st.lists(st.integers(0, 10**9), max_size=50), st.integers(0, 10**9))
def test_a_gap_is_likely_by_what_was_seen_of_its_like(seen: list[int], gap: int) -> None:
    gaps = Gaps()
    gaps.add(seen)
    sooner = sum(each <= gap for each in seen)
    assert (sooner + 1) / (len(seen) + 1) <= gaps.likely(gap) <= 1


def test_the_shortest_of_gaps_that_are_all_about_as_long_is_as_likely_as_the_others() -> None:
    gaps = Gaps()
    gaps.add(range(95, 106))
    assert gaps.likely(95) == gaps.likely(105) == 1
    assert gaps.likely(60) == pytest.approx(1 / 12)


def test_of_gaps_only_the_latest_are_remembered() -> None:
    gaps = Gaps()
    gaps.add([10 * MS] * 1024)
    gaps.add([1 * MS] * 1024)
    assert gaps.quantile(0.999) == MS


def test_the_kinds_of_stimuli_that_are_remembered_are_bounded() -> None:
    habits = Habits()
    first = habits.get(Occasion("GET /0", RESPONSE, alone=True))
    assert habits.get(Occasion("GET /0", RESPONSE, alone=True)) is first
    for number in range(5000):
        habits.get(Occasion(f"GET /{number}", "up POST /a", alone=True))
    assert habits.get(Occasion("GET /0", RESPONSE, alone=True)) is not first
