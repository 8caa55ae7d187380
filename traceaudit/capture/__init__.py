"""Recorded sources of exchanges."""
