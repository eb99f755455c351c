"""Fetch the plotting library that the offline page holds: uPlot, with its licence, as npm has it.

    python tools/vendor_uplot.py

Wants ``npm``. The version and the digest of its archive are pinned here; a newer one is taken by changing
both. What is written is what ships: nothing is built, and no user needs npm.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "1.6.32"
# npm view uplot@VERSION dist.integrity
INTEGRITY = "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
FILES = {
    "package/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "package/dist/uPlot.min.css": "uPlot.min.css",
    "package/LICENSE": "uPlot.LICENSE",
}
PLACE = Path(__file__).parents[1] / "snlab/results/page/vendor"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", f"uplot@{VERSION}"],
            cwd=folder, check=True, capture_output=True, text=True,
        )  # fmt: skip
        archive = Path(folder) / packed.stdout.strip()
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode("ascii")
        if f"sha512-{digest}" != INTEGRITY:
            raise SystemExit(f"uplot {VERSION} has the digest sha512-{digest}, and not {INTEGRITY}")
        with tarfile.open(archive) as tar:
            for name, out in FILES.items():
                content = tar.extractfile(name)
                assert content is not None
                (PLACE / out).write_bytes(content.read())
                print(PLACE / out)


if __name__ == "__main__":
    main()
