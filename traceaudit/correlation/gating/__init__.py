"""Decides when the service sees something, so that what it does next shows which request it does it for."""

from traceaudit.correlation.gating.gate import Gate
from traceaudit.correlation.gating.habits import RESPONSE

__all__ = ["RESPONSE", "Gate"]
