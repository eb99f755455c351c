"""The settings A to F of Miyato et al. 2018, Table 1, and the methods that they were compared under."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from snlab.core.registry import label
from snlab.results import looks
from snlab.results.papers import Setting, paper_table
from snlab.results.spelling import plain
from snlab.tracking.run_folder import Run

# ---- Table 1 ---------------------------------------------------------------------------------------------


SETTINGS = {
    name: setting for name, setting in paper_table("miyato2018/table2").settings.items() if len(name) == 1
}


def setting_of(run: Run) -> Setting | None:
    """What a run was trained with; None where it does not say, or trains its generator otherwise.

    Both networks of the paper have one optimizer's options.
    """
    model = run.config.get("model", {})
    adam, generator_adam = model.get("adam"), model.get("generator_adam")
    if not isinstance(adam, Mapping) or generator_adam not in (None, adam):
        return None
    try:
        return Setting(
            float(adam["lr"]), float(adam["beta1"]), float(adam["beta2"]), int(model.get("n_dis", 1))
        )
    except (KeyError, TypeError, ValueError):
        return None


def letter_of(run: Run, but_n_dis: bool = False) -> str | None:
    """The letter of a run's setting in Table 1, None where it is another.

    Args:
        run: any.
        but_n_dis: whether n_dis may be any, as in Figure 11; of letters that differ in it alone, the first.
    """
    found = setting_of(run)
    if found is None:
        return None
    for letter, setting in SETTINGS.items():
        if is_at(found, setting._replace(n_dis=found.n_dis) if but_n_dis else setting):
            return letter
    return None


def is_at(found: Setting, wanted: Setting) -> bool:
    """Whether they are the same to rounding."""
    return all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(found, wanted, strict=True))


# ---- methods ---------------------------------------------------------------------------------------------


class Method(NamedTuple):
    """A normalizer and a loss, each in its shortest spelling: no option is written that is at its default."""

    normalizer: str
    loss: str = "standard"

    def __str__(self) -> str:
        name = NAMES.get(self)
        if name is not None:
            return name
        loss = "" if self.loss == "standard" else f" ({looks.label(self.loss)})"
        return f"{looks.label(self.normalizer)}{loss}"


GAN_GP, WGAN_GP = Method("gradient_penalty"), Method("gradient_penalty", "wasserstein")
NONE, WEIGHT_CLIPPING, WEIGHT_NORM = Method("none"), Method("weight_clipping"), Method("weight_norm")
ORTHONORMAL, SPECTRAL_NORM = Method("orthonormal"), Method("spectral_norm")
# Of Figures 1 and 2, in their order.
METHODS = (
    *(WEIGHT_CLIPPING, GAN_GP, WGAN_GP, Method("batch_norm"), Method("layer_norm")),
    *(WEIGHT_NORM, ORTHONORMAL, SPECTRAL_NORM),
)
NAMES = {GAN_GP: "GAN-GP", WGAN_GP: "WGAN-GP"}


def method_of(run: Run) -> Method:
    """The normalizer and the loss of a run."""
    loss = label(run.config.get("model", {}).get("loss", "standard"))
    return Method(plain(run.normalizer), plain(loss))


def listed(letters: Iterable[str]) -> str:
    """Settings as a sentence has them: "setting C (lr 0.0002, ...)", or "settings A, B and F"."""
    *head, last = letters
    return f"settings {', '.join(head)} and {last}" if head else f"setting {last} ({SETTINGS[last]})"
