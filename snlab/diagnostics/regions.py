"""The steepest of the parts of the plane on which a small dense network is linear, by branch and bound."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from itertools import count

import numpy as np

from snlab.diagnostics.dense import Dense

MOST = 20_000  # parts, seconds of one core
ON_THE_LINE = 1e-12  # of unit vectors: what lies this near to a line is on it


def steepest(dense: Dense, forms: Sequence[np.ndarray]) -> float:
    """The largest ‖∇f‖ of ``dense`` on the plane, or a bound on it where that is not found soon enough.

    The units of a layer cut each part on which the layers before are linear into smaller ones. What follows
    the layer is bounded by its quadratic form, and the part whose bound is highest is cut first: so the first
    one that is cut no more is the steepest of all.

    Args:
        dense: of 1 or 2 inputs.
        forms: P_0 to P_k, as ``certified.quadratic_forms`` gives them.
    """
    made = count()  # parts; of two with one bound the earlier is first
    hidden, biases = ([part.numpy() for part in parts] for parts in (dense.hidden, dense.biases))
    # In homogeneous coordinates (x, y, 1) an affine map is a matrix, and a part of the plane is a cone: the
    # vectors along its edges, those at infinity with a 0 for the 1.
    identity = np.eye(3)[[*range(hidden[0].shape[1]), 2]]
    quadrants = [np.array([[i, 0, 0], [0, j, 0], [0, 0, 1]]) for i in (1.0, -1.0) for j in (1.0, -1.0)]
    open_parts = [(-math.inf, next(made), 0, identity, corners) for corners in quadrants]
    while next(made) < MOST:
        bound, _, layer, before, corners = heapq.heappop(open_parts)
        if layer == len(hidden):
            return -bound
        weight = np.hstack([hidden[layer], biases[layer][:, None]])  # (n, inputs + 1)
        lines = weight @ before  # (n, 3)
        for part in _cut(corners, lines):
            active = lines @ part.sum(0) > 0
            after = np.where(active, 1.0, dense.slopes[layer])[:, None] * lines  # y = after (x, y, 1)
            own = _norm(after[:, :2], forms[layer + 1])
            after = np.vstack([after, [0, 0, 1]])
            heapq.heappush(open_parts, (max(bound, -own), next(made), layer + 1, after, part))
    return -open_parts[0][0]


def _norm(linear: np.ndarray, form: np.ndarray) -> float:
    """The square root of the largest eigenvalue of J' P J, J of shape (n, 2)."""
    return math.sqrt(max(0.0, float(np.linalg.eigvalsh(linear.T @ form @ linear)[-1])))


def _cut(corners: np.ndarray, lines: np.ndarray) -> list[np.ndarray]:
    """The parts (m, 3) into which lines (n, 3) cut the cone of ``corners``, unit vectors in cyclic order."""
    sizes = np.linalg.norm(lines, axis=1)
    lines = lines[sizes > 0] / sizes[sizes > 0, None]
    sides = corners @ lines.T  # (m, n)
    parts = [corners]
    for line in lines[(sides.min(0) < -ON_THE_LINE) & (sides.max(0) > ON_THE_LINE)]:
        whole, parts = parts, []
        for part in whole:
            side = part @ line
            side[np.abs(side) <= ON_THE_LINE] = 0.0
            if side.min() < 0 < side.max():
                parts += [_one_side(part, side), _one_side(part, -side)]
            else:
                parts.append(part)
    return parts


def _one_side(part: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """The cone where ``sides``, a linear function's values at its corners, is at least 0."""
    found = []
    for i, side in enumerate(sides):
        if side >= 0:
            found.append(part[i])
        following = sides[(i + 1) % len(sides)]
        if side * following < 0:
            crossing = part[i] * abs(following) + part[(i + 1) % len(sides)] * abs(side)
            found.append(crossing / np.linalg.norm(crossing))
    return np.array(found)
