"""What is written can be read: in both themes, on every background that it stands on."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import Theme

from traceaudit_tui.themes import DARK, LIGHT

READABLE = 4.5
"""https://www.w3.org/TR/WCAG22/#contrast-minimum"""


def luminance(color: Color) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color.normalized]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(Color.parse(one)), luminance(Color.parse(other))), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_what_the_specification_says() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_every_colour_of_text_is_read_on_every_background(theme: Theme) -> None:
    texts = {name: colour for name, colour in theme.variables.items() if name.startswith("text-")}
    texts["foreground"] = theme.foreground or ""
    grounds = {"background": theme.background, "surface": theme.surface, "panel": theme.panel}
    poor = {
        (name, ground): round(contrast(text, colour or ""), 2)
        for name, text in texts.items()
        for ground, colour in grounds.items()
        if contrast(text, colour or "") < READABLE
    }
    assert poor == {}


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_the_line_of_the_cursor_is_read_and_what_is_found_stands_out(theme: Theme) -> None:
    cursor = theme.variables["block-cursor-background"]
    assert contrast(theme.variables["block-cursor-foreground"], cursor) >= READABLE
    poor = {name: round(contrast(colour, cursor), 2) for name, colour in theme.variables.items() if "text-" in name}
    assert {name: ratio for name, ratio in poor.items() if ratio < READABLE} == {}
    assert contrast(theme.background or "", theme.variables["text-warning"]) >= READABLE
