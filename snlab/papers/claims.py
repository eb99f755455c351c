"""What the paper claims of a figure, held against our runs: sentences whose every number is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from snlab.core import names
from snlab.papers import laboratory
from snlab.results.figures.miyato2018.bands import (
    OF_FIGURE_4,
    OF_FIGURE_11,
    last_width,
    n_dis,
    panels_by_n_dis,
    panels_by_width,
)
from snlab.results.figures.miyato2018.bars import methods_of, panels_by_setting
from snlab.results.figures.miyato2018.layers import (
    OF_FIGURE_3,
    best_settings,
    convolutions,
    sigma_panels,
    spectra_panels,
)
from snlab.results.figures.miyato2018.panels import Scored
from snlab.results.notes import listed
from snlab.results.reading import final
from snlab.results.settings import SETTINGS, Method, letter_of, method_of
from snlab.results.spread import Spread
from snlab.tracking.run_folder import DIVERGED, FINISHED, Run

AGGRESSIVE = ("D", "E", "F")  # the settings with a high learning rate, or high momentum, too
NEAR = 2.0  # times the best Fréchet distance of all: as far, a method is said to train
WARM_UP = 0.2  # the share of a run after which σ is to be near 1
BOUND = 0.1  # how near


def claims(figure: str, runs: Sequence[Run]) -> list[str]:
    """Paragraphs of Markdown about a figure, by its name in the paper; none where no claim is held."""
    return CLAIMS[figure](runs) if figure in CLAIMS else []


def settings(runs: Sequence[Run]) -> list[str]:
    """Figure 2: which methods still train where learning rate and momentum are high."""
    found = []
    for panel in panels_by_setting(runs, names.FID):
        methods = [
            method for method in methods_of(panel.runs) if any(method_of(r) == method for r in panel.runs)
        ]
        cells = {(method, letter): _at(panel, method, letter) for method in methods for letter in SETTINGS}
        means = {key: Spread.of(panel.values(runs)).mean for key, runs in cells.items() if panel.values(runs)}
        if not means:
            continue
        best = min(means.values())
        rows = [
            "| "
            + " | ".join([str(method), *(_cell(panel, cells[method, letter]) for letter in SETTINGS)])
            + " |"
            for method in methods
        ]
        stands = [
            f"{method} ({', '.join(letters)})"
            for method in methods
            if (letters := [x for x in AGGRESSIVE if means.get((method, x), np.inf) <= NEAR * best])
        ]
        falls = [
            str(method)
            for method in methods
            if any(cells[method, x] for x in AGGRESSIVE)
            and not any(means.get((method, x), np.inf) <= NEAR * best for x in AGGRESSIVE)
        ]
        said = f"within {NEAR:g} times the lowest Fréchet distance of all ({best:.3g})"
        found += [
            f"`{panel.name}`, {panel.title}; mean at the last update over seeds (how many, but for one):",
            "\n".join([f"| method | {' | '.join(SETTINGS)} |", "| --- |" + " ---: |" * len(SETTINGS), *rows]),
            f"At D, E and F, {listed(stands) if stands else 'no method'} stayed {said}"
            + (f"; {listed(falls)} did so at none of them." if falls else "."),
        ]
    return found


def spectra(runs: Sequence[Run]) -> list[str]:
    """Figure 3: weight clipping and weight norm use fewer directions than spectral norm."""
    found = []
    for panel in spectra_panels(runs):
        best = best_settings(panel)
        members = [run for _, runs in best.values() for run in runs]
        layers = convolutions(members, names.EFFECTIVE_RANK)
        ranks: dict[Method, float] = {}
        for method, (_, those) in best.items():
            values = [final(run, f"{names.EFFECTIVE_RANK}/{layer}") for run in those for layer in layers]
            if finite := [value for value in values if np.isfinite(value)]:
                ranks[method] = float(np.mean(finite))
        ours, others = OF_FIGURE_3[-1], OF_FIGURE_3[:-1]
        if ours not in ranks or len(ranks) < 2:
            continue
        words = [f"{rank:.1f} under {method} (at {best[method][0]})" for method, rank in ranks.items()]
        below = [method for method in others if method in ranks and ranks[method] < ranks[ours]]
        above = [method for method in others if method in ranks and ranks[method] >= ranks[ours]]
        verdict = "as the paper's spectra say" if not above else "not as the paper's spectra say"
        found.append(
            f"{panel.title}: the effective rank, mean over convolutions and seeds at the last update, is "
            f"{listed(words)}. It is below spectral norm's under "
            f"{listed([*map(str, below)]) if below else 'neither of the others'}"
            f"{f' and not under {listed([*map(str, above)])}' if above else ''}: {verdict}."
        )
    return found


def sigma(runs: Sequence[Run]) -> list[str]:
    """Figure 9: one power iteration an update keeps every layer's σ near 1."""
    found = []
    for panel in sigma_panels(runs):
        rows: list[str] = []
        out: list[str] = []
        start = WARM_UP * panel.runs[0].generator_steps
        for layer in convolutions(panel.runs, names.SIGMA_EXACT):
            series = [run.series(f"{names.SIGMA_EXACT}/{layer}") for run in panel.runs]
            late = [v for steps, values in series for s, v in zip(steps, values, strict=True) if s >= start]
            early = [v for steps, values in series for s, v in zip(steps, values, strict=True) if s < start]
            if not late:
                continue
            near = float(np.mean([abs(value - 1) <= BOUND for value in late]))
            out += [layer] if near < 1 else []
            rows.append(
                f"| {layer} | {max(early, default=np.nan):.3f} | {min(late):.3f} to {max(late):.3f} "
                f"| {near:.1%} |"
            )
        if not rows:
            continue
        seeds = len({run.seed for run in panel.runs})
        found += [
            f"{panel.title}, {seeds} seed{'s' * (seeds > 1)}; exact σ by SVD, of all measurements:",
            "\n".join(
                [
                    f"| layer | largest before update {start:,.0f} | from there on | within 1 ± {BOUND:g} |",
                    "| --- | ---: | ---: | ---: |",
                    *rows,
                ]
            ),
            f"From update {start:,.0f} on σ is to stay within 1 ± {BOUND:g}: "
            + ("that of every convolution does." if not out else f"{listed(out)} strays further."),
        ]
    return found


def width(runs: Sequence[Run]) -> list[str]:
    """Figure 4: orthonormal regularization suffers where the last feature map is wide."""
    return _ends(panels_by_width(runs), last_width, OF_FIGURE_4, "a relative width of")


def updates(runs: Sequence[Run]) -> list[str]:
    """Figure 11: weight norm suffers under many discriminator updates."""
    return _ends(panels_by_n_dis(runs), n_dis, OF_FIGURE_11, "n_dis")


def _ends(
    panels: Sequence[Scored], x_of: Callable[[Run], float | None], methods: Sequence[Method], words: str
) -> list[str]:
    found = []
    for panel in panels:
        sentences = []
        for method in methods:
            runs = [run for run in panel.runs if method_of(run) == method]
            places = {x: [run for run in runs if x_of(run) == x] for x in map(x_of, runs) if x is not None}
            spreads = {x: Spread.of(panel.values(places[x])) for x in sorted(places)}
            at = {x: spread for x, spread in spreads.items() if spread.n}
            if len(at) < 2:
                continue
            best, last = max(at, key=lambda x: at[x].mean), max(at)
            end = "" if best == last else f", {1 - at[last].mean / at[best].mean:.1%} less at {last:g}"
            diverged = sum(run.outcome == DIVERGED for run in runs)
            sentences.append(
                f"{method} is best at {words} {best:g} ({at[best].mean:.3g}, n={at[best].n}){end}"
                + (f"; {diverged} of its runs diverged" if diverged else "")
            )
        if sentences:
            found.append(f"`{panel.name}`, {panel.title}: {'; '.join(sentences)}.")
    return found


def _at(panel: Scored, method: Method, letter: str) -> list[Run]:
    return [run for run in panel.runs if (method_of(run), letter_of(run)) == (method, letter)]


def _cell(panel: Scored, runs: Sequence[Run]) -> str:
    """The mean over seeds, their number where it is not 1, and what did not finish."""
    spread = Spread.of(panel.values(runs))
    diverged = sum(run.outcome == DIVERGED for run in runs)
    text = f"{spread.mean:.2f}" if spread.n else "not run" if not runs else ""
    if spread.n > 1:
        text += f" ({spread.n})"
    if diverged:
        text = f"{text} {diverged} diverged".strip()
    unscored = [run.outcome for run in runs if run.outcome not in (FINISHED, DIVERGED)]
    return text or (unscored[0] if unscored else "not scored")


CLAIMS: dict[str, Callable[[Sequence[Run]], list[str]]] = {
    "figure2": settings,
    "figure3": spectra,
    "figure4": width,
    "figure9": sigma,
    "figure11": updates,
    **laboratory.CLAIMS,
}
