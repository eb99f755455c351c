"""Text whatever the locale: files in UTF-8, and for a character that a terminal lacks another that it has.

snlab names the encoding of its own files. What libraries open for it, such as a configuration, has the
locale's.
"""

from __future__ import annotations

import codecs
import locale
import sys
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper

UTF8_LOCALES = ("C.UTF-8", "en_US.UTF-8")
TRANSLITERATE = "snlab.transliterate"  # a handler of Python's codecs
_ASCII = dict(
    line.split(" ", 1)
    for line in (
        *(
            "σ sigma",
            "λ lambda",
            "α alpha",
            "β beta",
            "ε eps",
            "∇ grad ",
            "± +-",
            "× x",
            "· *",
            "² ^2",
            "‖ ||",
        ),
        *("‖ ||", "≤ <=", "≥ >=", "≈ ~", "→ ->", "− -", "– -", "— -", "… ...", '“ "', '” "', "‘ '", "’ '"),
        *(f"{c} -" for c in "─━═╌┄╸╺"),
        *(f"{c} |" for c in "│┃║"),
        *(f"{c} #" for c in "█▇▆▅▄▃▂▁▉▊▋▌▍▎▏"),
    )
)


def use_text_anywhere() -> None:
    """Read and write UTF-8 from here on, and print what stdout and stderr can show: for a program's start."""
    if codecs.lookup(locale.getpreferredencoding(False)).name != "utf-8":
        for name in UTF8_LOCALES:
            with suppress(locale.Error):
                locale.setlocale(locale.LC_CTYPE, name)
                break
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=TRANSLITERATE)


def _transliterate(error: UnicodeError) -> tuple[str, int]:
    """What stands for the characters that the encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_ASCII.get(c, "+" if "─" <= c <= "╿" else "?") for c in lost), error.end


codecs.register_error(TRANSLITERATE, _transliterate)


# ---- words -----------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Seconds in words of the right size.

    >>> duration(42), duration(600), duration(9000), duration(400000)
    ('42 s', '10 min', '2.5 h', '4.6 days')
    """
    for size, unit, digits in ((86400, "days", 1), (3600, "h", 1), (60, "min", 0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"


def time_now() -> str:
    """The time in UTC to the second, as ISO 8601 writes it: 2026-11-26T09:25:03+00:00."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def printable(text: str, most: int | None = None) -> str:
    """``text`` in one line, with nothing in it that a terminal would act on, and cut where it is long.

    >>> printable("a\\x1b[2Jb\\nc"), printable("normalizer", 6)
    ('a\\\\x1b[2Jb c', 'norma…')
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
    return shown if most is None or len(shown) <= most else f"{shown[: most - 1]}…"
