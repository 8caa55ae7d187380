"""Late outputs that come soon after what another request was shown, more often than by chance."""

from __future__ import annotations

from random import Random

from traceaudit.correlation.gating.wakings import Wakings

_MS = 1_000_000
_SOON_NS = 1 * _MS


def lived(*, woken: bool, share: float = 1.0, outputs: int = 200) -> tuple[Wakings, list[bool]]:
    """Stimuli about every 10 ms; outputs of route r come late, right after one of them or at any time."""
    random, wakings, told = Random(1), Wakings(), []
    now_ns = 0
    for _ in range(outputs):
        for _ in range(3):
            now_ns += int(random.uniform(5, 15) * _MS)
            wakings.shown("another", now_ns)
        late = woken and random.random() < share
        now_ns += _SOON_NS // 2 if late else int(random.uniform(0, 10) * _MS)
        told.append(wakings.came_late("itself", "r", _SOON_NS, now_ns))
    return wakings, told


def test_a_route_whose_requests_others_wake_is_known_after_a_few() -> None:
    wakings, told = lived(woken=True, outputs=8)
    assert wakings.waken("r")
    assert not wakings.cleared("r")
    assert all(told)


def test_that_only_some_are_woken_is_enough() -> None:
    wakings, _ = lived(woken=True, share=0.4)
    assert wakings.waken("r")


def test_requests_that_are_only_slow_are_cleared_and_then_contradict_nothing() -> None:
    wakings, told = lived(woken=False)
    assert wakings.cleared("r")
    assert not wakings.waken("r")
    assert not any(told[16:])


def test_what_the_request_itself_was_shown_wakes_nobody_else() -> None:
    wakings = Wakings()
    for step in range(1, 50):
        wakings.shown("itself", step * 10 * _MS)
        assert not wakings.came_late("itself", "r", _SOON_NS, step * 10 * _MS + _SOON_NS)
    assert not wakings.waken("r")


def test_nothing_is_known_of_a_route_that_was_never_late() -> None:
    assert not Wakings().waken("r")
    assert not Wakings().cleared("r")
