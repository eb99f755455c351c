"""Seconds a generator update, against a plain torch loop, and what watching costs (python -m benchmarks)."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import torch

from benchmarks import overhead
from benchmarks.plain import NORMALIZERS
from benchmarks.timing import CPU, in_turn, machine, ratios, spread, versions
from benchmarks.update import harness, plain
from snlab.core.errors import nearest
from snlab.core.files import write_atomically
from snlab.core.registry import parse
from snlab.data import DATASETS

DATASET, NETWORK, BATCH_SIZE, N_DIS = "photos", "standard_cnn", 64, 5
QUICK_BATCH_SIZE = 32
ROUNDS = {"standard_cnn": (4, 20), "resnet": (2, 8)}  # quick and not
# What is wanted: the plain loop's time over ours, for each normalizer that is timed with a network; spectral
# norm's time over none's; and the share of watching.
FASTER = {
    "standard_cnn": dict.fromkeys(NORMALIZERS, 1.0) | {"spectral_norm": 1.15},
    "resnet": {"none": 1.0, "spectral_norm": 1.9},
}
SPECTRAL_OVER_NONE = {32: 1.05, 64: 1.03}  # by batch size
WATCHING = 0.05


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="two minutes on two cores: half the batch, few rounds"
    )
    parser.add_argument("--rounds", type=int, default=None, help="rounds in which every contender runs once")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--network", default=NETWORK, help="as in snlab fit, with its options (default: %(default)s)"
    )
    parser.add_argument("--n-dis", type=int, default=N_DIS, help="(default: %(default)s)")
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        help="a JSON file (default: in benchmarks/results, by date; names of their own for a GPU, --quick)",
    )
    options = parser.parse_args(arguments)
    architecture = named(options.network)
    if architecture not in FASTER:
        parser.error(f"{options.network} is not timed; {nearest(architecture, FASTER)}")
    device = torch.device(options.device)
    batch_size = QUICK_BATCH_SIZE if options.quick else BATCH_SIZE
    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")

    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "command": " ".join(["python -m benchmarks", *(sys.argv[1:] if arguments is None else arguments)]),
        "machine": machine(device),
        "versions": versions(),
        "setting": {
            "dataset": DATASET, "network": options.network, "batch_size": batch_size, "n_dis": options.n_dis
        },
    }  # fmt: skip
    dataset = DATASETS.build(DATASET)
    contenders = {
        f"{side} {name}": make(name, dataset, options.network, options.n_dis, batch_size, device)[1]
        for name in FASTER[architecture]
        for side, make in (("plain", plain), ("snlab", harness))
    }
    quick_rounds, rounds = ROUNDS[architecture]
    rounds = options.rounds or (quick_rounds if options.quick else rounds)
    result["seconds"] = in_turn(contenders, rounds, device)
    result["lightning"] = overhead.lightning()
    result["measuring"] = overhead.measuring(DATASET, options.network, device)
    result["load_average_after"] = machine()["load_average"]
    show(result)
    out = options.out or result_file(result["date"], options.quick, architecture, device)
    write_atomically(out, json.dumps(result, indent=1) + "\n")
    print(f"\n{out}")
    return 0


def named(network: str) -> str:
    """The network's name without its options."""
    return parse(network, "network")[0].name


def result_file(day: str, quick: bool, architecture: str = NETWORK, device: torch.device = CPU) -> Path:
    """Where a benchmark of that day is kept: a quick one beside the whole one, and never in its place."""
    words = [
        "update",
        *([] if architecture == NETWORK else [architecture]),
        day,
        *([] if device == CPU else [device.type]),
        *(["quick"] if quick else []),
    ]
    return Path(__file__).parent / f"results/{'-'.join(words)}.json"


def show(result: dict[str, Any]) -> None:
    """The table, each wanted bound beside what was measured."""
    seconds, setting = result["seconds"], result["setting"]
    print(f"{setting}\n{result['machine']}\n")
    print(f"{'normalizer':18}{'plain loop [s]':>16}{'snlab [s]':>12}{'plain / snlab (min to max)':>36}")
    for name, wanted in FASTER[named(setting["network"])].items():
        ours, theirs = seconds[f"snlab {name}"], seconds[f"plain {name}"]
        ratio = spread(ratios(theirs, ours))
        print(
            f"{name:18}{spread(theirs)['median']:16.3f}{spread(ours)['median']:12.3f}"
            f"{ratio['median']:20.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
            f"   wanted {wanted:.2f}: {met(ratio['median'] >= wanted)}"
        )
    wanted = SPECTRAL_OVER_NONE[setting["batch_size"]]
    cost = spread(ratios(seconds["snlab spectral_norm"], seconds["snlab none"]))
    print(
        f"\nspectral norm over none: {cost['median']:.3f} ({cost['min']:.3f} to {cost['max']:.3f})"
        f"   wanted at most {wanted}: {met(cost['median'] <= wanted)}"
    )
    step = spread(seconds["snlab spectral_norm"])["median"]
    added = result["lightning"]["driven"] - result["lightning"]["bare"]
    watched = {name: m["seconds"] * m["count"] / overhead.STEPS for name, m in result["measuring"].items()}
    share = (added + sum(watched.values())) / step
    print(f"\nLightning and its callbacks add {1000 * added:.2f} ms a step: {added / step:.2%} of an update")
    for name, spent in watched.items():
        m = result["measuring"][name]
        print(f"{name:12}{m['seconds']:8.3f} s each, {m['count']:.0f} of them in all: {spent / step:.2%}")
    print(f"together {share:.2%}   wanted at most {WATCHING:.0%}: {met(share <= WATCHING)}")


def met(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
