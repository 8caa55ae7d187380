"""Which inbound request caused an outbound call, and how sure that is."""

from traceaudit.correlation.activity import Activity, Phase
from traceaudit.correlation.correlator import Attribution, Cause, attribute
from traceaudit.correlation.frozen import FrozenContexts
from traceaudit.correlation.identifiers import Identifiers, Inbound

__all__ = ["Activity", "Attribution", "Cause", "FrozenContexts", "Identifiers", "Inbound", "Phase", "attribute"]
