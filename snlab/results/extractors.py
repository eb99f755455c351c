"""Which feature extractor a score comes from: two that share a name but not their weights are two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from snlab.core import names
from snlab.tracking.run_folder import Run


@dataclass(frozen=True)
class Extractor:
    """One feature extractor: a name and the digest of its weights (None where no run says)."""

    name: str
    digest: str | None
    shared: bool = False  # another extractor has this name

    @property
    def label(self) -> str:
        return f"{self.name} @{(self.digest or 'unknown')[:7]}" if self.shared else self.name

    def scored(self, run: Run) -> bool:
        """Whether the scores of ``run`` under this name come from this extractor.

        A run that has not ended says nothing yet of its digest: it belongs to a name's only extractor.
        """
        digest = digest_of(run, self.name)
        return digest == self.digest or (digest is None and not self.shared)


def digest_of(run: Run, extractor: str) -> str | None:
    extractors = run.summary.get("extractors")
    digest = extractors.get(extractor) if isinstance(extractors, Mapping) else None
    return None if digest is None else str(digest)


def extractors(runs: Iterable[Run], score: str = names.FID) -> list[Extractor]:
    """The extractors behind ``score/EXTRACTOR`` in runs of one data set."""
    digests: dict[str, dict[str | None, None]] = {}
    for run in runs:
        for name in (name.removeprefix(f"{score}/") for name in run.names(f"{score}/")):
            digests.setdefault(name, {})[digest_of(run, name)] = None
    found = []
    for name, seen in digests.items():
        # With one known digest, the runs that say nothing are taken for its own; see Extractor.scored.
        known: list[str | None] = [digest for digest in seen if digest is not None]
        found += [Extractor(name, digest, shared=len(known) > 1) for digest in known or [None]]
    return found
