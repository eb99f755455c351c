"""The page as one HTML file: a template, style sheets, scripts, and data that nothing can run."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from snlab.tracking.run_folder import finite

HERE = Path(__file__).parent
LIBRARY = ("vendor/uPlot.iife.min.js",)
# In this order: what a script uses stands before it.
SCRIPTS = (
    *("dom", "data", "view", "statistics", "ticks", "model", "vector", "chart", "export"),
    *("filter", "comparisons", "curves", "bars", "layers", "spectra", "samples", "table", "runs", "main"),
)
STYLES = ("vendor/uPlot.min.css", "web/page.css", "web/parts.css", "web/print.css")


def document(data: Any) -> str:
    """A whole HTML document around ``data``, which is any JSON value.

    Its policy lets no script run but the page's own, by its hash, and nothing be loaded but what is in it. A
    server of the page may add a script of its own by another hash, which may then ask that server.
    """
    script = "\n".join([*map(_read, LIBRARY), _own_scripts()])
    style = "\n".join(map(_read, STYLES))
    policy = (
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; connect-src 'self'; "
        f"base-uri 'none'; form-action 'none'; script-src 'sha256-{_digest(script)}'"
    )
    filled = {"POLICY": policy, "STYLE": style, "DATA": safe_json(finite(data)), "SCRIPT": script}
    parts = _read("web/page.html").split("%%")
    return "".join(filled[part] if i % 2 else part for i, part in enumerate(parts))


def safe_json(data: Any) -> str:
    """JSON in ASCII that no HTML parser takes for markup: no ``<``, ``>``, ``&``, and U+2028 escaped.

    >>> safe_json({"</script>": "\\u2028&"})
    '{"\\\\u003c/script\\\\u003e":"\\\\u2028\\\\u0026"}'
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _own_scripts() -> str:
    """The page's scripts in one scope of their own."""
    return "\n".join(['(() => {\n"use strict";', *(_read(f"web/{name}.js") for name in SCRIPTS), "})();"])


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
