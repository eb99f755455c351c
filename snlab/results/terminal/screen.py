"""Where a terminal's pictures are drawn: in colour and to its width; into a pipe plain, and whole."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from snlab.core.text import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

ENDLESS = 10_000  # columns of what goes into a file or another program: nothing is folded or cut
LONGEST = 400  # characters of one value: what has more says so by its end

COLOURS = {
    "finished": "green", "running": "cyan", "unfinished": "yellow", "killed": "yellow", "stopped": "yellow",
    "diverged": "red", "failed": "red", "damaged": "red", "broken": "red",
}  # fmt: skip


def draw(make: Callable[[int], RenderableType]) -> None:
    """Print what ``make`` gives for a width in columns."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False, markup=False)
    if console.is_terminal:
        console.print(make(console.width), crop=False)
        return
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdigit() and int(columns) > 0 else ENDLESS
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, legacy_windows=False).print(make(width), crop=False)
    print("\n".join(line.rstrip() for line in file.getvalue().splitlines()))


def text(words: object, style: str = "", most: int = LONGEST) -> Text:
    """Anything of a run's, as it is: no markup, and nothing that a terminal would act on."""
    from rich.text import Text

    return Text(printable(str(words), most), style)


def whole(words: object, style: str = "") -> Text:
    """As ``text``, in one line however long it is: to be copied."""
    from rich.text import Text

    return Text(printable(str(words)), style, no_wrap=True, overflow="ignore")


def state_text(state: str) -> Text:
    """A run's state in its colour."""
    return text(state, COLOURS.get(state, ""))
