"""What is in flight in the service, as far as the gate can tell it apart.

Theory of operation. A token stands for one request in the service: the calls it waits for, and the reactions that it
still owes. Its name is known when it is delivered. Where two tokens may have made the same call, and both come to the
same state in the end, that state stays known, and only their names may have been swapped: such tokens share a group. A
response, which names its request, takes a name and a token out of the group; a group of one is sure again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from traceaudit.correlation.gating.habits import RESPONSE, Habit, Occasion, Prospect


@dataclass(eq=False, slots=True)
class Reaction:
    """What one stimulus has brought about so far."""

    occasion: Occasion
    habit: Habit
    active_ns: int
    """When its latest output came; before the first, when the stimulus was delivered."""
    held_ns: int = 0
    """How long the stimulus was held."""
    outputs: list[str] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    clean: bool = True
    """All of it is known to be its own, so that it can be learned from."""
    sure: bool = True
    """The request is known to be in this state."""
    afterwards: bool = False
    """It began after the response: unless it is known to bring something, it is taken not to."""
    quiet: bool = False
    """The service has been quiet for so long that it is taken for over."""
    passed_over_for: dict[Token, None] = field(default_factory=dict)
    """Tokens that were taken to have made calls which they had to make; it was not known whether this may."""

    @property
    def prospect(self) -> Prospect:
        """What may still follow."""
        return self.habit.prospect(self.outputs)

    @property
    def may_be_over(self) -> bool:
        """Whether what has come may be all. With no call to wait for, a request goes on: it calls, or it responds."""
        if not self.sure:
            return True  # Whether it had to go on is not known.
        return bool(self.outputs or not self.occasion.alone) and self.prospect.may_end

    def must_bring(self, edge: str) -> bool:
        """Whether a call on an edge is waited for, and it is certain that something comes."""
        return not self.may_be_over and edge in self.prospect.usual

    def expects(self, edge: str) -> bool:
        """Whether a call on an edge is waited for."""
        left = self.prospect
        return edge in left.usual or (left.anything and not self.afterwards)

    def may_bring(self, output: str) -> bool:
        """Whether an output may be its, late as it may be."""
        left = self.prospect
        return left.anything or (left.responds if output == RESPONSE else output in left.chances)

    def take(self, output: str, now_ns: int) -> None:
        """An output came."""
        self.outputs.append(output)
        self.gaps.append(max(0, now_ns - self.active_ns))
        self.active_ns = now_ns
        self.quiet = False


@dataclass(eq=False, slots=True)
class Token:
    """One request in the service."""

    route: str
    group: Group
    begun_ns: int
    calls: dict[str, str] = field(default_factory=dict)
    """The edges of the calls that are to be answered, by the calls' ids."""
    reactions: list[Reaction] = field(default_factory=list)
    doubtful: bool = False
    """Its state is not known: a call was its own or that of another in another state."""
    waited: bool = False
    """That is not known because of calls that came when it should long have gone on: likely they were not its own."""
    pooled: bool = False
    """Its calls may be those of others of its group, and theirs its own; together, they are right."""
    responded_ns: int | None = None
    unsettled_until_ns: int = 0
    """Until then, a call that was taken for its own may turn out to have been another's."""

    @property
    def state(self) -> tuple[object, ...]:
        """What tells it from another token, beside its name."""
        reactions = [(each.occasion, tuple(sorted(each.outputs))) for each in self.reactions]
        return (self.route, tuple(sorted(self.calls.values())), *reactions)

    def state_after(self, reaction: Reaction) -> object:
        """The state once its only reaction is complete; the token itself where that is not known."""
        total = reaction.habit.total(reaction.outputs)
        if total is None or len(self.reactions) > 1 or self.doubtful:
            return self
        before = Counter(self.calls.values()) - Counter(reaction.outputs)
        return reaction.occasion, total, tuple(sorted(before.elements()))

    @property
    def silent(self) -> bool:
        """Whether no call can follow before it is shown something else."""
        return all(each.prospect.silent for each in self.reactions)


@dataclass(eq=False, slots=True)
class Group:
    """Tokens whose names may have been swapped."""

    names: set[str]
    tokens: dict[Token, None] = field(default_factory=dict)

    def take(self, other: Group) -> None:
        """Puts another group's names and tokens among these."""
        if other is self:
            return
        self.names |= other.names
        for token in other.tokens:
            token.group = self
        self.tokens |= other.tokens

    @property
    def name(self) -> str | None:
        """The one name that is left; ``None``: there are several."""
        return next(iter(self.names)) if len(self.names) == 1 else None
