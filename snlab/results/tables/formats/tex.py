"""Text in LaTeX: every character as one that any of its engines prints, in ASCII."""

from __future__ import annotations

import re
import unicodedata

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$",
    "|": r"$|$", '"': r"\textquotedblright{}", "`": r"\textquoteleft{}",
    "[": "{[}", "]": "{]}", "*": "{*}",  # which \\ and \toprule before them would take for their own
    "±": r"$\pm$", "×": r"$\times$", "∇": r"$\nabla$", "‖": r"$\|$", "−": r"$-$", "∞": r"$\infty$",
    "²": "$^2$", "³": "$^3$", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "→": r"$\rightarrow$",
    "·": r"$\cdot$", "µ": r"$\mu$", "°": r"$^\circ$", "–": "--", "—": "---", "…": r"\ldots{}",
    "“": r"\textquotedblleft{}", "”": r"\textquotedblright{}", "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}", "ß": r"\ss{}", "ø": r"\o{}", "Ø": r"\O{}", "æ": r"\ae{}", "ł": r"\l{}",
    "†": r"\dag{}", "‡": r"\ddag{}",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c", "\u0306": "u",
}  # fmt: skip
_NO_COMMAND = {"omicron", "final sigma"}
_CAPITALS = {"Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"}


def tex(text: str) -> str:
    r"""``text`` as LaTeX prints it, in one line; a character that has no command becomes its code point.

    >>> tex("a_b & σ = 50 %"), tex("Fréchet"), tex("-1.0 ± 0.1"), tex("漢")
    ('a\\_b \\& $\\sigma$ = 50 \\%', "Fr\\'{e}chet", '$-$1.0 $\\pm$ 0.1', 'U+6F22')
    """
    text = re.sub(r"(?<!\w)-(?=\d)", "−", " ".join(text.split()))  # a minus sign, not a hyphen
    return "".join(map(_character, text))


def printed(text: str) -> int:
    """How many characters are printed: of one without a command, its code point."""
    return sum(len(f"U+{ord(c):04X}") if _character(c).startswith("U+") else 1 for c in text)


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii():
        return character if character.isprintable() else ""
    apart = unicodedata.normalize("NFD", character)  # a letter and its accent
    if len(apart) == 2 and apart[0].isascii() and apart[1] in _ACCENTS:
        letter = {"i": r"\i", "j": r"\j"}.get(apart[0], apart[0])
        return rf"\{_ACCENTS[apart[1]]}{{{letter}}}"
    return _greek(character) or f"U+{ord(character):04X}"


def _greek(character: str) -> str:
    name = unicodedata.name(character, "")
    kind, _, letter = name.removeprefix("GREEK ").partition(" LETTER ")
    letter = letter.lower().replace("lamda", "lambda")
    if not name.startswith("GREEK ") or letter in _NO_COMMAND or not letter.isalpha():
        return ""
    if kind == "SMALL":
        return rf"$\{letter}$"
    return rf"$\{letter.capitalize()}$" if letter.capitalize() in _CAPITALS else ""
