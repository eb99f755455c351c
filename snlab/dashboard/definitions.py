"""Links from what the dashboard shows to where it is defined: docs/metrics.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata

from snlab.core.errors import UserError

PAGE = "docs/metrics.md"
LABELS = ("documentation", "docs", "repository", "source", "homepage")  # of a package's URLs, in this order


@dataclass(frozen=True)
class Definitions:
    """Where docs/metrics.md is read: its URL, None where it is not known."""

    url: str | None = None

    def link(self, name: str) -> str:
        """A name in Markdown, with a link to its definition; without a URL, with the place in the sources.

        >>> Definitions("https://example.org/docs/metrics").link("sigma/exact")
        '[sigma/exact](https://example.org/docs/metrics#sigma-exact)'
        """
        if self.url:
            return f"[{name}]({self.url}#{anchor(name)})"
        return f"{name} ({PAGE}#{anchor(name)})"


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
