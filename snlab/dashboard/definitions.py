"""What the dashboard shows, and where it is defined: docs/metrics.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

from snlab.core.errors import UserError
from snlab.core.resources import definitions

PAGE = "docs/metrics.md"
LABELS = ("documentation", "docs", "repository", "source", "homepage")  # of a package's URLs, in this order


@dataclass(frozen=True)
class Definitions:
    """Where docs/metrics.md is read: its URL, None where it is not known."""

    url: str | None = None

    def lines(self, panels: Mapping[str, str]) -> list[str]:
        """Lines of Markdown, each panels' titles with a link to their definition, or with the definition.

        >>> Definitions("https://example.org/docs/metrics").lines({"sigma/exact": "σ of the weight"})
        ['[sigma/exact](https://example.org/docs/metrics#sigma-exact): σ of the weight']
        >>> Definitions().lines({"spectrum": "Spectra", "ratio/drift": "ratio/drift"})[0]
        'spectrum (Spectra): all singular values, squared and scaled to the largest: Figure 3'

        Args:
            panels: titles by the name that defines them.
        """
        if self.url:
            return [f"[{name}]({self.url}#{anchor(name)}): {titles}" for name, titles in panels.items()]
        told: dict[str, list[str]] = {}
        for name, titles in panels.items():
            words = titles if titles.startswith(name) else f"{name} ({titles})"
            told.setdefault(sentences()[anchor(name)], []).append(words)
        return [f"{', '.join(words)}: {sentence}" for sentence, words in told.items()]


@cache
def sentences() -> dict[str, str]:
    """Of each definition on the page, by its anchor, the first sentence; likewise of each section."""
    found: dict[str, str] = {}
    heading = None
    for line in definitions().splitlines():
        if line.startswith("|"):
            name, text = line.split(" | ")[:2]
            found |= dict.fromkeys(re.findall(r'<a id="([^"]+)"></a>', name), _sentence(text))
        elif line.startswith("#"):
            heading = anchor(line)
        elif line and heading:
            found[heading] = _sentence(line)
            heading = None
    return found


def _sentence(text: str) -> str:
    """The first one, without links, which lead nowhere from elsewhere."""
    first = re.split(r"(?<! al)\.(?: (?=[A-Z\d])|$)", text.strip())[0]
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", first).removesuffix(", see below")


def anchor(name: str) -> str:
    """Under which a name is found on the page.

    >>> anchor("ratio/log_mass_fake"), anchor("which-runs-are-compared")
    ('ratio-log-mass-fake', 'which-runs-are-compared')
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def published() -> str | None:
    """The page's URL as the installed package declares its own; None where it declares none."""
    try:
        urls = metadata("snlab").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    known = {label.strip().lower(): url.strip() for label, _, url in (entry.partition(",") for entry in urls)}
    return page_of(next((known[label] for label in LABELS if label in known), None))


def page_of(url: str | None) -> str | None:
    """The page, of the URL of a repository at GitHub, else of a folder of documents; UserError for no URL.

    >>> page_of("https://github.com/me/snlab"), page_of("https://me.example/docs/")
    ('https://github.com/me/snlab/blob/main/docs/metrics.md', 'https://me.example/docs/metrics.md')
    """
    if not url:
        return None
    if not re.match(r"https?://[^/]", url):
        raise UserError(f"--docs {url}: a URL is wanted, as in https://github.com/me/snlab")
    url = url.rstrip("/")
    if url.endswith((".md", ".html")):
        return url
    if re.fullmatch(r"https://(github|gitlab)\.com/[^/]+/[^/]+", url):
        return f"{url}/blob/main/{PAGE}"
    return f"{url}/{PAGE.rpartition('/')[2]}"
