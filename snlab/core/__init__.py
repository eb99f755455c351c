"""What everything else may import: names, errors, registry, checks, streams, collectives."""
