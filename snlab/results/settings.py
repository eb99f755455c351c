"""The settings A to F of Miyato et al. 2018, Table 1, and the methods that they were compared under."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from snlab.core.errors import UserError
from snlab.core.registry import Spec, label, parse
from snlab.results import looks
from snlab.tracking.run_folder import Run

# ---- Table 1 ---------------------------------------------------------------------------------------------


class Setting(NamedTuple):
    """A row of Table 1: Adam's learning rate and betas, and discriminator updates a generator update."""

    lr: float
    beta1: float
    beta2: float
    n_dis: int

    def __str__(self) -> str:
        return f"lr {self.lr:g}, betas {self.beta1:g} and {self.beta2:g}, n_dis {self.n_dis}"


SETTINGS = {
    "A": Setting(0.0001, 0.5, 0.9, 5),
    "B": Setting(0.0001, 0.5, 0.999, 1),
    "C": Setting(0.0002, 0.5, 0.999, 1),
    "D": Setting(0.001, 0.5, 0.9, 5),
    "E": Setting(0.001, 0.5, 0.999, 5),
    "F": Setting(0.001, 0.9, 0.999, 5),
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
        wanted = setting._replace(n_dis=found.n_dis) if but_n_dis else setting
        if all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(found, wanted, strict=True)):
            return letter
    return None


# ---- methods ---------------------------------------------------------------------------------------------

# What each option of the paper's methods is where it is not written; a test holds them to the code.
DEFAULTS: dict[str, dict[str, Any]] = {
    "weight_clipping": {"c": 0.01, "layers": "convolutions"},
    "gradient_penalty": {"weight": 10.0, "kind": "two_sided", "target": 1.0},
    "batch_norm": {"gain": False},
    "layer_norm": {"gain": False},
    "weight_norm": {"gain": False},
    "orthonormal": {"weight": 0.001, "initialise": True},
    "spectral_norm": {
        "iterations": 1, "initial_iterations": 0, "of": "matrix", "exact": False, "bidirectional": False,
        "scale": 1.0, "gain": False,
    },
    "standard_cnn": {"width": 1.0, "latent_dim": 128, "variant": "paper", "last_width": 1.0},
}  # fmt: skip


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
    return Method(shortest(run.normalizer), shortest(loss))


def shortest(spec: str) -> str:
    """A name without the options that are at their defaults, as far as these are known here.

    >>> shortest("gradient_penalty(weight=10, kind=one_sided)+spectral_norm(gain=false)")
    'gradient_penalty(kind=one_sided)+spectral_norm'
    """
    try:
        return "+".join(str(Spec(term.name, _not_default(term))) for term in parse(spec))
    except UserError:
        return spec


def _not_default(term: Spec) -> dict[str, Any]:
    known = DEFAULTS.get(term.name, {})
    return {
        key: value
        for key, value in term.options.items()
        if key not in known or (value, isinstance(value, bool)) != (known[key], isinstance(known[key], bool))
    }


def listed(letters: Iterable[str]) -> str:
    """Settings as a sentence has them: "setting C (lr 0.0002, ...)", or "settings A, B and F"."""
    *head, last = letters
    return f"settings {', '.join(head)} and {last}" if head else f"setting {last} ({SETTINGS[last]})"
