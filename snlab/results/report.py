"""One HTML file that holds a whole comparison: opens anywhere, needs no network and no script."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snlab.core import names
from snlab.core.errors import UserError
from snlab.results import looks
from snlab.results.figures import FIGURES, picture
from snlab.results.figures.samples import last_sample
from snlab.results.findings import findings
from snlab.results.groups import group
from snlab.results.output import write
from snlab.results.reading import records
from snlab.results.tables import make, render
from snlab.tracking.run_folder import Run, Skipped

# Of each figure: its heading, and how to read it.
CAPTIONS = {
    "samples": (
        "Samples",
        "The last samples of each normalizer's first finished seed, from the same fixed latents, beside real "
        "ones. Red crosses: the centres of the modes, where the density is known.",
    ),
    "fidelity": (
        "Fidelity through training",
        "Thin: each seed. Thick: their mean, as far as every seed reaches. A cross: a run that diverged, "
        "which counts as the worst score. On the right, each seed's last value as a dot: normalizers whose "
        "dots mix are not told apart. FID: lower is better; high-quality samples and modes covered: higher "
        "is.",
    ),
    "sigma": (
        "Largest singular values",
        "σ of each layer's weight as a matrix, by SVD, as in the paper; dashed, of the raw weight, on which "
        "the normalizer acts. For a dense layer σ is the most by which it stretches a difference between two "
        "inputs. For a convolution it is not: on images that can be more, up to k/s times σ (rounded up) for "
        "a kernel k and stride s. The table has those norms and their product, which bounds the whole.",
    ),
    "ratio": (
        "Density ratio",
        "How the discriminator's logit, read as the log of the density ratio q/p of real to generated data, "
        "fares on a fixed probe. The grey rule is the value at the optimum. A saturated discriminator tells "
        "all real from all generated, and then teaches the generator little. Error from and correlation with "
        "the true log q/p are shown where both densities are known; docs/metrics.md says how to read them "
        "where the two nearly agree.",
    ),
    "spectrum": (
        "Spectra",
        "All singular values of each layer at the end, squared and scaled to the largest. A curve that falls "
        "at once is a layer that sees few directions of its input; a flat one uses many.",
    ),
}
RUN_COLUMNS = {
    "run": "run", "dataset": "data set", "normalizer": "normalizer", "seed": "seed", "outcome": "outcome",
    names.GENERATOR_STEP: "updates", "seconds": "seconds", "identity": "identity",
}  # fmt: skip


def report(runs: Sequence[Run], out: str | Path, skipped: Sequence[Skipped] = ()) -> None:
    """Write the report of ``runs`` to ``out``, in one piece; UserError where that cannot be."""
    write(out, page(runs, skipped))


def page(runs: Sequence[Run], skipped: Sequence[Skipped] = ()) -> str:
    """The report as HTML; it names what was ``skipped``.

    What comes from configurations is escaped, and images are data: URIs.
    """
    told = [html.escape(text).replace(" ± ", "&nbsp;±&nbsp;") for text in findings(runs)]
    sections = [
        ("Findings", "\n".join(f"<p class='finding'>{text}</p>" for text in told)),
        ("Comparison", render(make("normalizers", runs, skipped), "html")),
        ("Figures", _figures(runs)),
        ("Samples of every run", _gallery(runs)),
        ("Runs", _runs(runs, skipped)),
        ("Environment", _environment(runs)),
    ]
    body = "\n".join(f"<section>\n<h2>{title}</h2>\n{text}\n</section>" for title, text in sections if text)
    style = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        "<meta name='color-scheme' content='light dark'>\n"
        f"<title>Normalizers compared</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"<header><h1>Normalizers compared</h1>\n<p>{_lead(runs)}</p></header>\n"
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _lead(runs: Sequence[Run]) -> str:
    specs = sorted({run.normalizer for run in runs}, key=looks.order)
    data = ", ".join(dict.fromkeys(looks.label(g.dataset) for g in group(runs)))
    text = f"{len(runs)} runs: {', '.join(map(looks.label, specs))}; on {data}."
    return html.escape(text)


# ---- images ----------------------------------------------------------------------------------------------


def _image(content: bytes, alt: str, extra: str = "") -> str:
    data = base64.b64encode(content).decode("ascii")
    return f"<img alt='{html.escape(alt, quote=True)}' {extra} src='data:image/png;base64,{data}'>"


def _figures(runs: Sequence[Run]) -> str:
    parts = []
    for name, (heading, caption) in CAPTIONS.items():
        description = (FIGURES[name].__doc__ or name).strip().splitlines()[0]
        try:
            shown = _image(picture(name, runs, "png", dpi=240), description)
        except UserError as error:
            shown = f"<p class='absent'>{html.escape(str(error))}</p>"
        text = f"<figcaption>{html.escape(caption)}</figcaption>"
        parts.append(f"<h3>{heading}</h3>\n<figure>{shown}\n{text}</figure>")
    return "\n".join(parts)


def _gallery(runs: Sequence[Run]) -> str:
    """The last image grid of each run, pixel for pixel, folded away until asked for."""
    shown = []
    for g, run in ((of, run) for of in group(runs) for run in of.whole):
        path = last_sample(run)
        if path is None or path.suffix != ".png":
            continue
        setting = f", {g.setting}" if g.setting else ""
        label = f"{g.name}, seed {run.seed}{setting}"
        where = f"{looks.label(run.dataset)}, update {int(path.stem)}"
        caption = f"<figcaption>{html.escape(label)}<br><small>{html.escape(where)}</small></figcaption>"
        image = _image(path.read_bytes(), f"samples: {label}, {where}", "class='grid'")
        shown.append(f"<figure>{image}{caption}</figure>")
    figures = "".join(shown)
    return f"<details><summary>Show</summary><div class='gallery'>{figures}</div></details>" if shown else ""


# ---- runs ------------------------------------------------------------------------------------------------


def _runs(runs: Sequence[Run], skipped: Sequence[Skipped]) -> str:
    rows = []
    for row in records(runs):
        cells = {**row, "outcome": _outcome(row), "seconds": _seconds(row["seconds"])}
        rows.append([str(cells[key]) for key in RUN_COLUMNS])
    for skip in skipped:
        told = {"run": skip.folder.name, "outcome": f"skipped: {skip.reason}"}
        rows.append([told.get(key, "") for key in RUN_COLUMNS])
    return _table(list(RUN_COLUMNS.values()), rows)


def _outcome(row: Mapping[str, Any]) -> str:
    return f"{row['outcome']}: {row['reason']}" if row["reason"] else str(row["outcome"])


def _seconds(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else ""


def _environment(runs: Sequence[Run]) -> str:
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        versions = run.summary.get("versions")
        versions = versions if isinstance(versions, Mapping) else {}
        about = {key: run.summary.get(key) for key in ("machine", "device")} | dict(versions)
        for name, value in about.items():
            if value is not None:
                found.setdefault(str(name), {})[str(value)] = None
    return _table(["", ""], [[name, ", ".join(values)] for name, values in found.items()]) if found else ""


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Iterable[str], tag: str) -> str:
        return (
            "<tr>" + "".join(f"<{tag} class='words'>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
        )

    titles = list(head)
    top = f"<thead>{line(titles, 'th')}</thead>" if any(titles) else ""
    body = "\n".join(line(row, "td") for row in rows)
    return f"<div class='wide'><table>{top}<tbody>\n{body}\n</tbody></table></div>"
