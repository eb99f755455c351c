"""What is known of a run by the names that people type, and conditions on it."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from snlab.core import names
from snlab.core.errors import UserError, nearest
from snlab.results import looks
from snlab.results.extractors import extractors
from snlab.results.groups import flattened, said
from snlab.results.notes import listed
from snlab.results.reading import DAMAGED, final, record
from snlab.results.terminal.finding import SHORTEST, identity_of
from snlab.tracking.places import in_use
from snlab.tracking.run_folder import DIVERGED, FAILED, FINISHED, KILLED, STOPPED, UNFINISHED, Run

RUNNING = "running"  # unfinished, and a process of this machine has the folder
BROKEN = "broken"  # a run's folder that cannot be read
STATE, UPDATES, TIME, SCORE = "state", "updates", "time", "score"
MODEL = "model."  # which need not be said of a setting
ALIASES = {"data set": "dataset"}  # of columns, by what they are known as
STATES = (*(FINISHED, DIVERGED, FAILED, KILLED, STOPPED, UNFINISHED), RUNNING, DAMAGED, BROKEN)


@dataclass(frozen=True)
class Facts:
    """One run: ``known`` has its record, its settings by their dotted names, and the columns of a list.

    ``score`` is the logged name of what its samples are scored by, None where nothing scored them.
    """

    run: Run
    known: dict[str, Any]
    score: str | None

    def get(self, key: str) -> Any:
        """What is known by that name; None where nothing is."""
        return self.known[key] if key in self.known else self.known.get(MODEL + key)

    def has(self, key: str) -> bool:
        return key in self.known or MODEL + key in self.known


def facts(run: Run) -> Facts:
    """Of one run, its metrics read."""
    score = score_name(run)
    settings = flattened(run.config)
    known = {key: value if _number(value) is not None else said(value) for key, value in settings.items()}
    known |= record(run)
    known |= {
        "identity": identity_of(run), "folder": str(run.folder), STATE: state(run),
        UPDATES: known[names.GENERATOR_STEP], TIME: known["seconds"], SCORE: score_of(run, score),
    }  # fmt: skip
    return Facts(run, known, score)


def state(run: Run) -> str:
    """How the run has ended, or whether it goes on."""
    return RUNNING if run.outcome == UNFINISHED and in_use(run.folder) else run.outcome


def score_name(run: Run) -> str | None:
    """The logged name of a run's score: the Fréchet distance, else its share of good samples, else none."""
    fid = next((f"{names.FID}/{extractor.name}" for extractor in extractors([run])), None)
    return fid or next(iter(run.names(names.MODES_HIGH_QUALITY)), None)


def score_of(run: Run, name: str | None) -> float:
    """Its value at the end; of a run that goes on, the last. NaN for one that diverged: no score is worse."""
    if name is None or run.outcome == DIVERGED:
        return math.nan
    return final(run, name) if run.outcome == FINISHED else run.last(name)


# ---- conditions ------------------------------------------------------------------------------------------

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "=": operator.eq, "<": operator.lt,
    ">": operator.gt, "~": operator.contains,
}  # fmt: skip
_CONDITION = re.compile(r"\s*([^\s=!<>~]+(?: [^\s=!<>~]+)*)\s*(==|!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """``key`` is compared with ``value``: as numbers where both are, by their order only so, else as text.

    As text, both as the configuration has it and as it is printed: ``spectral_norm`` and ``spectral norm``.
    """

    key: str
    operator: str
    value: str

    def holds(self, of: Facts) -> bool:
        """Whether it holds of a run; of one that has no such thing only what is to be another does."""
        known = of.get(self.key)
        if known is None or (isinstance(known, float) and math.isnan(known)):
            return self.operator == "!="
        number = _number(self.value)
        if self.operator != "~" and number is not None and _number(known) is not None:
            return OPERATORS[self.operator](_number(known), number)
        if self.operator in ("<", "<=", ">", ">="):
            return False
        compare = operator.contains if self.operator == "~" else operator.eq
        found = any(compare(text, self.value) for text in self._texts(of))
        return found != (self.operator == "!=")

    def _texts(self, of: Facts) -> list[str]:
        """What is known by the key as text, and as it is printed; a run by its identity's beginning, too."""
        text = _text(of.get(self.key))
        begins = self.key in ("run", "identity") and len(self.value) >= SHORTEST
        return [text, looks.label(text), *([str(of.known["identity"])[: len(self.value)]] if begins else [])]

    def __str__(self) -> str:
        return f"{self.key}{self.operator}{self.value}"


def conditions(expressions: Iterable[str]) -> list[Condition]:
    """Those of ``KEY=VALUE and KEY<VALUE``; UserError where one does not read as such."""
    found = []
    for expression in expressions:
        for part in re.split(r"\s+and\s+", expression):
            read = _CONDITION.fullmatch(part)
            if read is None:
                raise UserError(
                    f"--filter {part!r} does not read as a KEY, one of = != < <= > >= ~ and a value, as in "
                    "state=finished"
                )
            sign = read[2].replace("==", "=")
            if sign in ("<", "<=", ">", ">=") and _number(read[3]) is None:
                raise UserError(f"--filter {part!r}: {sign} wants a number, got {read[3]!r}")
            found.append(Condition(ALIASES.get(read[1], read[1]), sign, read[3]))
    return found


def without_any(wanted: Sequence[Condition], of: Sequence[Facts]) -> list[str]:
    """A line for each condition that no run meets for want of such a value, with those that there are.

    UserError where the value is a misspelt one.
    """
    lines = []
    for condition in wanted:
        if condition.operator not in ("=", "~") or any(condition.holds(one) for one in of):
            continue
        known = [value for one in of if (value := one.get(condition.key)) is not None]
        number = _number(condition.value)
        numbers = [found for value in known if (found := _number(value)) is not None and math.isfinite(found)]
        if numbers and number is not None:
            closest = min(numbers, key=lambda found: abs(found - number))
            lines.append(f"no run has {condition}; the nearest is {closest:.15g}")
            continue
        texts = [*dict.fromkeys(looks.label(_text(value)) for value in known)]
        hint = nearest(condition.value, {*texts, *map(_text, known)})
        right = condition.key in (STATE, "outcome") and condition.value in STATES  # though no run has it
        if hint.startswith("did you mean") and condition.operator == "=" and not right:
            raise UserError(f"--filter: no run has {condition}; {hint}")
        lines.append(f"no run has {condition}; there is: {listed(texts) or 'nothing'}")
    return lines


def check_key(option: str, key: str, of: Sequence[Facts]) -> None:
    """UserError, which names the option, for a key that no run has."""
    if not any(one.has(key) for one in of):
        known = {name for one in of for name in one.known}
        hint = nearest(key, known | {name.removeprefix(MODEL) for name in known})
        told = hint if hint.startswith("did you mean") else "snlab runs --json has all names"
        raise UserError(f"{option}: no run has {key!r}; {told}")


def order(key: str) -> Callable[[Facts], tuple[int, float, str]]:
    """A sort key: numbers before text, and what is not known last."""

    def of(one: Facts) -> tuple[int, float, str]:
        known = one.get(key)
        number = _number(known)
        if known is None or (number is not None and math.isnan(number)):
            return (2, 0.0, "")
        return (0, number, "") if number is not None else (1, 0.0, _text(known))

    return of


def _number(value: Any) -> float | None:
    """``value`` as a number; None where it is none, as true and false are not."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
