"""What the paper claims of a figure, held against our runs: sentences whose every number is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from snlab.core import names
from snlab.papers import laboratory
from snlab.papers.markdown import table
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
from snlab.results.figures.miyato2018.times import OF_FIGURE_10, UPDATES, seconds, timed_panels
from snlab.results.notes import joined
from snlab.results.reading import final
from snlab.results.settings import NONE, SETTINGS, SPECTRAL_NORM, WEIGHT_NORM, Method, letter_of, method_of
from snlab.results.spread import Spread
from snlab.tracking.run_folder import DIVERGED, FINISHED, Run

AGGRESSIVE = ("D", "E", "F")  # the settings with a high learning rate, or high momentum, too
NEAR = 2.0  # times the best Fréchet distance of all: as far, a method is said to train
NEAR_SCORE = 1.25  # times as high as a method's inception score the best of all may be, likewise
WARM_UP = 0.2  # the share of a run after which σ is to be near 1
BOUND = 0.1  # how near


def claims(figure: str, runs: Sequence[Run]) -> list[str]:
    """Paragraphs of Markdown about a figure, by its name in the paper; none where no claim is held."""
    return CLAIMS[figure](runs) if figure in CLAIMS else []


def inception(runs: Sequence[Run]) -> list[str]:
    """Figure 1: which methods still train where learning rate and momentum are high, by inception score."""
    return _settings(runs, names.INCEPTION_SCORE)


def frechet(runs: Sequence[Run]) -> list[str]:
    """Figure 2: the same by Fréchet distance."""
    return _settings(runs, names.FID)


def _settings(runs: Sequence[Run], score: str) -> list[str]:
    found = []
    for panel in panels_by_setting(runs, score):
        methods = [
            method for method in methods_of(panel.runs) if any(method_of(r) == method for r in panel.runs)
        ]
        cells = {(method, letter): _at(panel, method, letter) for method in methods for letter in SETTINGS}
        means = {key: Spread.of(panel.values(runs)).mean for key, runs in cells.items() if panel.values(runs)}
        if not means:
            continue
        known = {
            key for key, runs in cells.items() if key in means or any(r.outcome == DIVERGED for r in runs)
        }
        best = (max if score == names.INCEPTION_SCORE else min)(means.values())
        if score == names.INCEPTION_SCORE:
            trains = {key for key, mean in means.items() if mean >= best / NEAR_SCORE}
            said = f"stayed above {1 / NEAR_SCORE:.0%} of the highest inception score of all ({best:.3g})"
        else:
            trains = {key for key, mean in means.items() if mean <= best + (NEAR - 1) * abs(best)}
            said = f"stayed within {NEAR:g} times the lowest Fréchet distance of all ({best:.3g})"
        stands: list[str] = []
        falls: list[str] = []
        for method in methods:
            tried = [letter for letter in AGGRESSIVE if (method, letter) in known]
            held = [letter for letter in tried if (method, letter) in trains]
            if tried:
                (stands if held else falls).append(f"{method} ({', '.join(held or tried)})")
        rows = [
            [str(method), *(_cell(panel, cells[method, letter]) for letter in SETTINGS)] for method in methods
        ]
        found += [
            f"`{panel.name}`, {panel.title}; mean at the last update over seeds (how many, but for one):",
            table(["method", *SETTINGS], rows),
            f"At D, E and F, {joined(stands) if stands else 'no method'} {said}"
            + (f"; {joined(falls)} did so at none of these." if falls else "."),
        ]
    return found


def spectra(runs: Sequence[Run]) -> list[str]:
    """Figure 3: weight clipping and weight norm use fewer directions than spectral norm, layer by layer."""
    found = []
    for panel in spectra_panels(runs):
        best = best_settings(panel)
        layers = convolutions([run for _, runs in best.values() for run in runs], names.EFFECTIVE_RANK)
        ranks = {
            method: {
                layer: Spread.of(final(run, f"{names.EFFECTIVE_RANK}/{layer}") for run in runs)
                for layer in layers
            }
            for method, (_, runs) in best.items()
        }
        ours, others = OF_FIGURE_3[-1], [method for method in OF_FIGURE_3[:-1] if method in ranks]
        if ours not in ranks or not others:
            continue
        told = [*others, ours]
        rows = [[layer, *(_mean(ranks[method][layer]) for method in told)] for layer in layers]
        below = {}
        for method in others:
            pairs = [(ranks[method][layer], ranks[ours][layer]) for layer in layers]
            below[method] = [theirs.mean < own.mean for theirs, own in pairs if theirs.n and own.n]
        if not all(below.values()):
            continue
        counts = [f"in {sum(of)} of {len(of)} convolutions under {method}" for method, of in below.items()]
        every = [one for of in below.values() for one in of]
        verdict = "as" if all(every) else "in part as" if any(every) else "not as"
        found += [
            f"{panel.title}: the effective rank of each convolution at the last update, mean over seeds "
            "(how many, but for one):",
            table(["layer", *(f"{method} (at {best[method][0]})" for method in told)], rows),
            f"It is below spectral norm's {joined(counts)}: {verdict} the paper's spectra say.",
        ]
    return found


def sigma(runs: Sequence[Run]) -> list[str]:
    """Figure 9: one power iteration an update keeps every layer's σ near 1."""
    found = []
    for panel in sigma_panels(runs):
        rows: list[list[str]] = []
        out: list[str] = []
        start = WARM_UP * panel.runs[0].generator_steps
        prefix = f"{names.SIGMA_EXACT}/"
        every = dict.fromkeys(name for run in panel.runs for name in run.names(prefix))
        for layer in (name.removeprefix(prefix) for name in every):
            series = [run.series(f"{prefix}{layer}") for run in panel.runs]
            late = [v for steps, values in series for s, v in zip(steps, values, strict=True) if s >= start]
            early = [v for steps, values in series for s, v in zip(steps, values, strict=True) if s < start]
            if not late:
                continue
            near = float(np.mean([abs(value - 1) <= BOUND for value in late]))
            out += [layer] if near < 1 else []
            largest = max(early, default=np.nan)
            rows.append([layer, f"{largest:.3f}", f"{min(late):.3f} to {max(late):.3f}", f"{near:.1%}"])
        if not rows:
            continue
        seeds = len({run.seed for run in panel.runs})
        header = [
            "layer", f"largest before update {start:,.0f}", "from there on", f"within 1 ± {BOUND:g}",
        ]  # fmt: skip
        found += [
            f"{panel.title}, {seeds} seed{'s' * (seeds > 1)}; exact σ by SVD, of all measurements:",
            table(header, rows),
            f"From update {start:,.0f} on σ is to stay within 1 ± {BOUND:g}: "
            + ("that of every layer does." if not out else f"{joined(out)} strays further."),
            *_gaps(panel.runs, out, start),
        ]
    return found


def _gaps(runs: Sequence[Run], layers: Sequence[str], start: float) -> list[str]:
    """How slowly one power iteration follows the first direction of these layers: by the ratio σ₂²/σ₁²."""
    said = []
    for layer in layers:
        series = [run.series(f"{names.SPECTRUM}/{layer}") for run in runs]
        ratios = [
            sorted(values, reverse=True)[1]
            for steps, curves in series
            for step, values in zip(steps, curves, strict=True)
            if step >= start and isinstance(values, list) and len(values) > 1
        ]
        if ratios:
            said.append(f"{float(np.median(ratios)):.2f} in {layer}")
    if not said:
        return []
    return [
        "The normalized weight is W / σ̂, so σ above 1 is what the estimate σ̂ misses. One power iteration "
        "leaves a share σ₂²/σ₁² of what it lacks of the first direction, and the next update turns it on: "
        f"in the median this share is {joined(said)}."
    ]


def times(runs: Sequence[Run]) -> list[str]:
    """Figure 10: spectral norm costs little, a gradient penalty much."""
    found = []
    for panel in timed_panels(runs):
        middle = {}
        for method in OF_FIGURE_10:
            values = [value for run in panel.runs if method_of(run) == method and (value := seconds(run))]
            if values:
                middle[method] = float(np.median(values))
        if NONE not in middle or len(middle) < 2:
            continue
        said = [f"{value / middle[NONE]:.2f} under {m}" for m, value in middle.items() if m != NONE]
        found.append(
            f"{panel.title}: {UPDATES} updates take, as multiples of those without a normalizer "
            f"({middle[NONE]:.3g} s, medians), {joined(said)}."
        )
        if {SPECTRAL_NORM, WEIGHT_NORM} <= middle.keys():
            share = middle[SPECTRAL_NORM] / middle[WEIGHT_NORM]
            found.append(
                f"Spectral norm takes {share:.0%} of weight norm's time; in the paper, 110 to 120 %."
            )
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


def _mean(spread: Spread) -> str:
    return (f"{spread.mean:.1f}" if spread.n else "no value") + (f" ({spread.n})" if spread.n > 1 else "")


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
    "figure1": inception,
    "figure2": frechet,
    "figure3": spectra,
    "figure4": width,
    "figure9": sigma,
    "figure10": times,
    "figure11": updates,
    **laboratory.CLAIMS,
}
