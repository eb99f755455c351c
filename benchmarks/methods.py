"""What an update costs under every method, against none (python -m benchmarks.methods)."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import in_turn, machine, ratios, spread, versions
from benchmarks.update import harness
from snlab.core.files import write_atomically
from snlab.data import DATASETS
from snlab.normalizers import NORMALIZERS

DATASET, NETWORK, BATCH_SIZE, N_DIS, ROUNDS = "photos", "standard_cnn(width=0.25)", 64, 5, 9
# Options that make another method of one.
OPTIONS = ("spectral_norm(of=convolution)", "spectral_norm(exact=true)", "spectral_norm(gain=true)")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="(default: %(default)s)")
    parser.add_argument("--network", default=NETWORK, help="(default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=None, help="a JSON file (default: in benchmarks/results)")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    asked = sys.argv[1:] if arguments is None else arguments
    dataset = DATASETS.build(DATASET)
    contenders = {
        name: harness(name, dataset, options.network, N_DIS, BATCH_SIZE, device)[1]
        for name in (*NORMALIZERS.names(), *OPTIONS)
    }
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "command": " ".join(["python -m benchmarks.methods", *asked]),
        "machine": machine(device),
        "versions": versions(),
        "setting": {
            "dataset": DATASET, "network": options.network, "batch_size": BATCH_SIZE, "n_dis": N_DIS
        },
        "seconds": in_turn(contenders, options.rounds, device),
    }  # fmt: skip
    for name, ratio in over_none(result["seconds"]).items():
        print(f"{name:32}{ratio['median']:8.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})")
    where = "" if device.type == "cpu" else f"-{device.type}"
    out = options.out or Path(__file__).parent / f"results/methods-{result['date']}{where}.json"
    write_atomically(out, json.dumps(result, indent=1) + "\n")
    print(f"\n{out}")
    return 0


def over_none(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Each method's time over that of none in the same round, from the cheapest."""
    found = {name: spread(ratios(taken, seconds["none"])) for name, taken in seconds.items()}
    return dict(sorted(found.items(), key=lambda item: item[1]["median"]))


if __name__ == "__main__":
    sys.exit(main())
