"""Two themes, dark and light, whose colours people with any colour vision tell apart (after Okabe and Ito, 2008).

https://jfly.uni-koeln.de/color/ : vermilion for errors, orange for warnings, sky blue and blue for what is well: no red
against green. The signs of ``signs.py`` say the same without any colour.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="traceaudit-dark",
    dark=True,
    primary="#56B4E9",
    secondary="#9DB4C8",
    accent="#CC9FE0",
    success="#4FC3A1",
    warning="#E9A83A",
    error="#F0764A",
    foreground="#DCE3EA",
    background="#10151B",
    surface="#161D25",
    panel="#1E2832",
    variables={
        "text-error": "#FF8A5C",
        "text-warning": "#F2BC5E",
        "text-success": "#62D2B2",
        "text-accent": "#D6B0E8",
        "text-secondary": "#A9BFD2",
        "text-primary": "#7CC6F0",
        "text-muted": "#9FADBA",
        "block-cursor-background": "#1D415C",
        "block-cursor-foreground": "#FFFFFF",
        "footer-key-foreground": "#7CC6F0",
    },
)

LIGHT = Theme(
    name="traceaudit-light",
    dark=False,
    primary="#0067A3",
    secondary="#4A6274",
    accent="#7A3E97",
    success="#00755A",
    warning="#8A5A00",
    error="#B33A00",
    foreground="#1B232B",
    background="#FBFBF9",
    surface="#F3F4F1",
    panel="#E6E9E8",
    variables={
        "text-error": "#B33A00",
        "text-warning": "#855600",
        "text-success": "#006B52",
        "text-accent": "#7A3E97",
        "text-secondary": "#4A6274",
        "text-primary": "#005E95",
        "text-muted": "#55606A",
        "block-cursor-background": "#CDE5F3",
        "block-cursor-foreground": "#10202B",
        "footer-key-foreground": "#005E95",
    },
)
