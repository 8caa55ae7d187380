"""The filter language: one line of text that says which exchanges or which findings are meant.

``code:TP001 edge:"* -> inventory*" status>=500 -outcome:forwarded since:5m "connection reset"``: terms beside each
other must all hold, ``or`` joins alternatives, ``-`` or ``not`` turns a term round, parentheses group. docs/filters.md
has the fields.

Theory of operation. ``grammar`` turns the text into a tree and knows no field; ``fields`` knows what each field may be
compared with and how that is said in SQL; ``sql`` walks the tree. The text of the SQL depends on the tree's shape and
the fields' names alone: whatever a person typed as a value becomes a parameter. Nothing here does I/O or reads a clock:
``since:5m`` counts from the moment that it is given.
"""

from __future__ import annotations

from traceaudit.filters.fields import FIELDS, Field
from traceaudit.filters.grammar import FilterError
from traceaudit.filters.sql import Filter, Where, parse

__all__ = ["FIELDS", "Field", "Filter", "FilterError", "Where", "parse"]
