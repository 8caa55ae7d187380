"""What is looked for on a page: where it stands, which place one is at, and the marks on it.

A page is made of ``Lines``, or of a rule's Markdown, whose paragraphs are Textual's own: these get a copy of their text
with the places marked, and their own text back.
"""

from __future__ import annotations

from collections.abc import Iterator

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from traceaudit_tui.widgets.found import FOUND, pattern, places, whole
from traceaudit_tui.widgets.lines import Lines
from traceaudit_tui.widgets.pager import Pager

ABOVE = 3  # lines of a page that are left above what was found


class PageSearch:
    """Of one screen."""

    def __init__(self) -> None:
        self.needle = ""
        """What is looked for; empty: nothing."""
        self._at = -1
        self._marked: dict[Static, tuple[Content, Content]] = {}
        """What a paragraph's own text is, and its copy."""

    def look_for(self, page: Pager, text: str) -> None:
        """Marks another text, from the page's top on; an empty one: none."""
        self.needle, self._at = text, -1
        for lines in page.query(Lines):
            if lines.needle != text:
                lines.needle = text
                lines.refresh()
        for static, (own, copy) in self._marked.items():
            if static.is_attached and static.content is copy:
                static.update(own)
        self._marked.clear()
        if text:
            wanted = pattern(text)
            for static, own in _paragraphs(page):
                if wanted.search(own.plain):
                    copy = own.highlight_regex(wanted, style=FOUND)
                    self._marked[static] = (own, copy)
                    static.update(copy)

    def lines_with(self, page: Pager, needle: str) -> list[int]:
        """The lines of the page in which a text begins, counted from its top."""
        found = [
            _top(lines, page) + each for lines in page.query(Lines) if lines.display for each in lines.found(needle)
        ]
        for static, content in _paragraphs(page):
            width = static.content_size.width
            if width:
                folded = content.wrap(width)
                lines = {place[0].line for place in places(folded, needle, whole(folded), width)}
                found += [_top(static, page) + each for each in lines]
        return sorted(set(found))

    def go(self, page: Pager, by: int) -> bool:
        """To the next or previous place, around both ends; whether there is one."""
        lines = self.lines_with(page, self.needle)
        if not lines:
            return False
        ahead = [each for each in lines if each > self._at] if by > 0 else [each for each in lines if each < self._at]
        self._at = (ahead or lines)[0 if by > 0 else -1]
        page.scroll_to(y=max(0, self._at - ABOVE), animate=False)
        return True


def _paragraphs(page: Pager) -> Iterator[tuple[Static, Content]]:
    for static in page.query(Static):
        content = static.content
        if isinstance(content, Content) and content.plain.strip() and not static.children:
            yield static, content


def _top(widget: Widget, page: Pager) -> int:
    """The line of the page that a widget's own lines begin at."""
    return widget.content_region.y - page.content_region.y + round(page.scroll_y)
