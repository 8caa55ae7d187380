"""Contexts that were exchanged as a whole show in the numbers, and nothing that a right service does looks like it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest

from traceaudit.commands.probing import mixture
from traceaudit.mixing import Comparison, LeftOut, Made, Mixed, Sent, compare

ALONE, ROUNDS, TOGETHER = 5, 10, 16

type Round = Sequence[Sent]
type Behaviour = Callable[[Round, Random], Iterator[tuple[Sent, str]]]
"""The calls that requests make which are there at once: whose context each carries, and its target."""


def requests(urls: int = 1, rounds: int = ROUNDS, together: int = TOGETHER) -> list[Sent]:
    alone = [Sent(f"i{url}-{number}", url, None, 200) for url in range(urls) for number in range(ALONE)]
    return alone + [
        Sent(f"i{round_}/{place}", url, round_, 200)
        for round_ in range(rounds)
        for place, url in enumerate(mixture(round_, together, urls))
    ]


def calls_of(sent: Sequence[Sent], behaviour: Behaviour, seed: int = 0) -> list[Made]:
    random = Random(seed)
    groups = [[each] for each in sent if each.round is None]
    groups += [
        [each for each in sent if each.round == round_] for round_ in range(max(each.round or 0 for each in sent) + 1)
    ]
    calls: list[Made] = []
    for group in groups:
        for owner, target in behaviour(group, random):
            calls.append(Made(f"o{len(calls)}", len(calls), "stock", f"GET {target}", "GET /{id}", owner.id))
    return calls


def found(behaviour: Behaviour, *, urls: int = 1, seed: int = 0, sent: list[Sent] | None = None) -> list[Mixed]:
    sent = sent or requests(urls)
    return compare(sent, calls_of(sent, behaviour, seed)).mixed


# --- what is wrong ----------------------------------------------------------------------------------------------------


def one_for_all(group: Round, _: Random) -> Iterator[tuple[Sent, str]]:
    """All calls carry the context of the latest request."""
    for each in group:
        yield group[-1], f"/{each.url}"


def exchanged(group: Round, _: Random) -> Iterator[tuple[Sent, str]]:
    """Two and two take each other's."""
    for place, each in enumerate(group):
        yield group[min(place ^ 1, len(group) - 1)], f"/{each.url}"


def now_and_then(group: Round, random: Random) -> Iterator[tuple[Sent, str]]:
    for each in group:
        yield (random.choice(group) if random.random() < 0.1 else each), f"/{each.url}"


@pytest.mark.parametrize("behaviour", [one_for_all, exchanged, now_and_then])
def test_exchanged_contexts_are_probable(behaviour: Behaviour) -> None:
    there = found(behaviour, urls=3)
    assert there
    assert all(0.95 <= each.probability <= 0.99 for each in there)
    assert all(each.cause.round == each.owner.round for each in there)


def test_each_call_beyond_its_owners_own_is_told_with_a_request_that_lacks_one() -> None:
    sent = requests()
    there = found(one_for_all, sent=sent)
    together = [each for each in sent if each.round is not None]
    assert len({each.call.id for each in there}) == len(there) == len(together) - ROUNDS
    assert len({each.cause.id for each in there}) == len(there)


def test_an_exchange_of_one_for_one_is_seen_by_targets_alone() -> None:
    assert found(exchanged, urls=1) == []  # Nobody could see it.
    assert found(exchanged, urls=2)


def test_where_targets_vary_calls_are_counted_by_route() -> None:
    def varying(group: Round, random: Random) -> Iterator[tuple[Sent, str]]:
        for owner, _ in one_for_all(group, random):
            yield owner, f"/{random.random()}"

    assert found(varying)


def test_few_rounds_are_not_enough_to_be_sure() -> None:
    there = found(one_for_all, sent=requests(rounds=2))
    assert there
    assert all(each.probability == 0.75 for each in there)


def test_rounds_of_one_size_are_as_good_as_one_round() -> None:
    there = found(one_for_all, sent=requests(together=2))
    assert there
    assert all(each.probability == 0.5 for each in there)


# --- what is right ----------------------------------------------------------------------------------------------------


def saving(share: float) -> Behaviour:
    """A cache: some calls are not made."""

    def behave(group: Round, random: Random) -> Iterator[tuple[Sent, str]]:
        for each in group:
            if len(group) == 1 or random.random() > share:
                yield each, f"/{each.url}"

    return behave


def adding(share: float) -> Behaviour:
    """Retries."""

    def behave(group: Round, random: Random) -> Iterator[tuple[Sent, str]]:
        for each in group:
            yield each, f"/{each.url}"
            if len(group) > 1 and random.random() < share:
                yield each, f"/{each.url}"

    return behave


def both(share: float) -> Behaviour:
    """A cache, and retries as often."""

    def behave(group: Round, random: Random) -> Iterator[tuple[Sent, str]]:
        for each in group:
            drawn = random.random() if len(group) > 1 else 1.0
            for _ in range(0 if drawn < share else 2 if drawn < 2 * share else 1):
                yield each, f"/{each.url}"

    return behave


def flights(hedges: int) -> Behaviour:
    """`singleflight`, by URL, and calls that are made anew when many are there."""

    def behave(group: Round, _: Random) -> Iterator[tuple[Sent, str]]:
        for url in {each.url for each in group}:
            leader = next(each for each in group if each.url == url)
            for _ in range(hedges if len(group) > 1 else 1):
                yield leader, f"/{url}"

    return behave


def falling_back(group: Round, random: Random) -> Iterator[tuple[Sent, str]]:
    """Under load some ask another upstream, which the first URL always asks."""
    for each in group:
        yield each, f"/{0 if len(group) > 1 and random.random() < 0.2 else each.url}"


def somewhere(group: Round, random: Random) -> Iterator[tuple[Sent, str]]:
    for each in group:
        yield each, f"/{random.randrange(2)}"


RIGHT = {
    "own": saving(0),
    **{f"saving {share}": saving(share) for share in (0.01, 0.1, 0.9)},
    **{f"adding {share}": adding(share) for share in (0.01, 0.1, 0.9)},
    **{f"both {share}": both(share) for share in (0.005, 0.02, 0.1, 0.3)},
    **{f"flights {hedges}": flights(hedges) for hedges in range(1, 17)},
    "falling back": falling_back,
    "somewhere": somewhere,
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("urls", [1, 2, 5])
@pytest.mark.parametrize("together", [2, 16])
def test_a_right_service_is_never_accused(name: str, urls: int, together: int) -> None:
    for seed in range(40):
        sent = requests(urls, together=together)
        assert not [each for each in found(RIGHT[name], sent=sent, seed=seed) if each.probability >= 0.95]


def test_nothing_is_said_where_load_changed_the_answers() -> None:
    sent = requests()
    sent[-1] = Sent(sent[-1].id, 0, sent[-1].round, 503)
    assert compare(sent, calls_of(sent, one_for_all)) == Comparison(answered_alike=False)


def test_nothing_is_said_of_an_edge_with_calls_of_others() -> None:
    sent = requests()
    calls = calls_of(sent, one_for_all)
    for owner in (None, "somebody"):
        told = compare(sent, [*calls, Made("o", 0, "stock", "GET /0", "GET /{id}", owner)])
        assert told == Comparison(left_out={("stock", "GET /{id}"): LeftOut.OWNERS})
    told = compare(sent, [*calls, Made("o", 0, "pricing", "GET /0", "GET /{id}", None)])
    assert told.mixed
    assert told.left_out == {("pricing", "GET /{id}"): LeftOut.OWNERS}


def test_nothing_is_said_where_it_is_not_known_what_one_request_does() -> None:
    def lately(group: Round, random: Random) -> Iterator[tuple[Sent, str]]:
        if group[0].id != "i0-0":
            yield from one_for_all(group, random)

    unknown = Comparison(left_out={("stock", "GET /{id}"): LeftOut.ALONE})
    sent = requests()
    assert compare(sent, calls_of(sent, lately)) == unknown
    sent = [each for each in requests() if each.round is not None or each.id in {"i0-0", "i0-1"}]
    assert compare(sent, calls_of(sent, one_for_all)) == unknown


def test_nothing_is_said_where_calls_are_not_as_many_as_they_should_be() -> None:
    sent = requests()
    for behaviour in (saving(0.5), adding(0.5)):
        unknown = Comparison(left_out={("stock", "GET /{id}"): LeftOut.TOGETHER})
        assert compare(sent, calls_of(sent, behaviour)) == unknown
