"""The rules that redirect connections, written for iptables or, where that is not there, for nft.

Theory of operation. Either has a chain of its own for each family of addresses, named like what it is for, which is
entered for packets of one cgroup, or of everybody. A packet leaves it untouched at the first rule that says so, else is
redirected to a port of the loopback interface. Nothing is kept here: what there is, is asked for.

https://man7.org/linux/man-pages/man8/iptables-extensions.8.html
https://www.netfilter.org/projects/nftables/manpage.html
"""

from __future__ import annotations

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from traceaudit.listeners import Address

_PORTS_A_RULE = 15
"""What the multiport match takes. iptables-extensions(8)"""

_NFT_CGROUPS = Path("/sys/fs/cgroup")
"""Where nft looks for the cgroups that a rule names, wherever they are mounted. SYSFS_CGROUPSV2_PATH in its sources"""


class FilterError(Exception):
    """The rules are refused; the message says by what, and what it said."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is redirected where; ports of the loopback interface."""

    tcp_port: int
    dns_port: int | None = None
    """``None``: names are resolved as ever."""
    own: Sequence[Address] = ()
    """Our listeners, which may be called as they are."""
    untouched_ports: Sequence[int] = ()
    untouched: Sequence[Address] = ()
    """IP addresses (or networks, ``127.0.0.0/8``) and ports that are no HTTP."""

    def direct(self, *, ipv6: bool) -> list[Address]:
        """What may be called as it is, of one family."""
        return [each for each in (*self.own, *self.untouched) if (":" in each.host) == ipv6]


class PacketFilter(ABC):
    """One program and one family of addresses."""

    program: str

    def __init__(self, *, ipv6: bool) -> None:
        self.ipv6 = ipv6

    @property
    @abstractmethod
    def is_there(self) -> bool:
        """Whether the program is."""

    @abstractmethod
    def install(self, name: str, rules: Rules, group: Path | None = None) -> None:
        """Makes the rules, for a cgroup or for everybody. Raises FilterError; then nothing is left."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Removes whatever there is of a name."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """The names that there are rules for, everybody's."""

    def _load(self, command: Sequence[str], text: str) -> None:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        # Where there is no IPv6, none has to be redirected.
        if done.returncode and not (self.ipv6 and not Path("/proc/net/if_inet6").exists()):
            raise FilterError(f"{command[0]} refuses the rules: {' '.join(done.stderr.split())}")


class Iptables(PacketFilter):
    """iptables and ip6tables."""

    @property
    def program(self) -> str:  # type: ignore[override]  # it follows from the family
        """The family's program."""
        return "ip6tables" if self.ipv6 else "iptables"

    @property
    def is_there(self) -> bool:
        """Whether the program is."""
        return shutil.which(self.program) is not None

    def install(self, name: str, rules: Rules, group: Path | None = None) -> None:
        """Makes a chain, and enters it from OUTPUT."""
        chain = f"-A {name}"
        lines = [f":{name} - [0:0]"]
        lines += [f"{chain} -p tcp -d {to.host} --dport {to.port} -j RETURN" for to in rules.direct(ipv6=self.ipv6)]
        ports = sorted(set(rules.untouched_ports))
        for at in range(0, len(ports), _PORTS_A_RULE):
            some = ",".join(map(str, ports[at : at + _PORTS_A_RULE]))
            lines.append(f"{chain} -p tcp -m multiport --dports {some} -j RETURN")
        lines.append(f"{chain} -p tcp -j REDIRECT --to-ports {rules.tcp_port}")
        if rules.dns_port is not None:
            lines.append(f"{chain} -p udp --dport 53 -j REDIRECT --to-ports {rules.dns_port}")
        match = f"-m cgroup --path {group.name} " if group is not None else ""
        lines.append(f"-I OUTPUT 1 {match}-j {name}")
        self._load([f"{self.program}-restore", "-w", "--noflush"], "\n".join(["*nat", *lines, "COMMIT", ""]))

    def remove(self, name: str) -> None:
        """Removes the way in first, and then the chain."""
        for line in self._saved():
            if line.startswith("-A OUTPUT") and name in line.split():
                self._run("-D", *line.split()[1:])
        if f"-N {name}" in self._saved():
            self._run("-F", name)
            self._run("-X", name)

    def names(self) -> Iterator[str]:
        """The chains."""
        return (line[3:] for line in self._saved() if line.startswith("-N "))

    def _saved(self) -> list[str]:
        """The rules of the nat table; none where there is no such table (a kernel without IPv6)."""
        return self._run("-S").splitlines()

    def _run(self, *arguments: str) -> str:
        command = [self.program, "-w", "-t", "nat", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout


class Nft(PacketFilter):
    """nft, with a table of its own for each name."""

    program = "nft"

    @property
    def is_there(self) -> bool:
        """Whether the program is."""
        return shutil.which(self.program) is not None

    @property
    def _family(self) -> str:
        return "ip6" if self.ipv6 else "ip"

    def install(self, name: str, rules: Rules, group: Path | None = None) -> None:
        """Makes a table."""
        lines = [f"{self._family} daddr {to.host} tcp dport {to.port} return" for to in rules.direct(ipv6=self.ipv6)]
        if ports := sorted(set(rules.untouched_ports)):
            lines.append(f"tcp dport {{ {', '.join(map(str, ports))} }} return")
        lines.append(f"meta l4proto tcp redirect to :{rules.tcp_port}")
        if rules.dns_port is not None:
            lines.append(f"udp dport 53 redirect to :{rules.dns_port}")
        # Said the other way round ("not of this cgroup: return"), it would not hold for who is in no cgroup at all.
        match = f'socket cgroupv2 level 1 "{os.path.relpath(group, _NFT_CGROUPS)}" ' if group is not None else ""
        way_in = ["type nat hook output priority -100; policy accept;", f"{match}jump redirected"]
        chains = ["chain redirected {", *lines, "}", "chain output {", *way_in, "}"]
        text = "\n".join([f"table {self._family} {name} {{", *chains, "}", ""])
        self._load([self.program, "-f", "-"], text)

    def remove(self, name: str) -> None:
        """Removes the table."""
        if name in self.names():
            self._run("delete", "table", self._family, name)

    def names(self) -> Iterator[str]:
        """The tables."""
        tables = (line.split() for line in self._run("list", "tables", self._family).splitlines())
        return (words[2] for words in tables if len(words) == 3)

    def _run(self, *arguments: str) -> str:
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False).stdout


_KINDS = (Iptables, Nft)
"""The one to be preferred first."""


def programs() -> list[str]:
    """The programs of which one is enough and none is here; empty: there is one."""
    return [] if any(kind(ipv6=False).is_there for kind in _KINDS) else [kind(ipv6=False).program for kind in _KINDS]


def every() -> list[PacketFilter]:
    """All that there are on this machine."""
    return [one for kind in _KINDS for ipv6 in (False, True) if (one := kind(ipv6=ipv6)).is_there]


def install(name: str, rules: Rules, group: Path | None = None, *, ipv6_rules: Rules | None = None) -> None:
    """Makes the rules with the first program that takes them, for both families. Raises FilterError when none does.

    ``ipv6_rules``: those for IPv6, where they are others.
    """
    refusals: list[str] = []
    for kind in _KINDS:
        both = [one for ipv6 in (False, True) if (one := kind(ipv6=ipv6)).is_there]
        try:
            for one in both:
                one.install(name, (one.ipv6 and ipv6_rules) or rules, group)
        except FilterError as error:
            refusals.append(str(error))
            for one in both:
                one.remove(name)
        else:
            if both:
                return
    raise FilterError("; ".join(refusals))
