"""Audits how a local service carries trace context from the requests it gets to the calls it makes."""

__version__ = "0.1.0"
