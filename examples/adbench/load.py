"""ADBench's text files as `.npz` archives of the inputs of `gmm.dfg` and `ba.dfg`.

    python load.py data/gmm_test.txt gmm.npz
    dfg run gmm.dfg --inputs gmm.npz

`load(path)` gives the same arrays. A file of a mixture begins with `D K N`, one of a bundle adjustment with `n m p`; which of them it is tells the number of values that follow.
"""

from __future__ import annotations

import os
import sys

import numpy as np


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The inputs in a file, by name."""
    with open(path, encoding="ascii") as stream:
        words = stream.read().split()
    first, second, third = (int(word) for word in words[:3])
    values = np.array(words[3:], np.float64)
    if len(values) == 11 + 3 + 1 + 2:
        return bundle(values, first, second, third)
    return mixture(values, first, second, third)


def mixture(values: np.ndarray, d: int, k: int, n: int) -> dict[str, np.ndarray]:
    """Weights, means, inverse covariance factors, points and the prior of a Gaussian mixture."""
    columns = d + d * (d - 1) // 2
    count = k + k * d + k * columns + n * d + 2
    # ADBench also writes files with one point, which stands for all of them.
    if len(values) not in (count, count - (n - 1) * d):
        raise ValueError(f"a mixture of {k} components in {d} dimensions has {count} values, not {len(values)}")
    parts = np.split(values, np.cumsum([k, k * d, k * columns]))
    points = parts[3][:-2].reshape(-1, d)
    return {
        "alphas": parts[0],
        "means": parts[1].reshape(k, d),
        "icf": parts[2].reshape(k, columns),
        "x": np.repeat(points, n, axis=0) if len(points) == 1 else points,
        "gamma": np.array(values[-2]),
        "m": np.array(int(values[-1])),
    }


def bundle(values: np.ndarray, cameras: int, points: int, observations: int) -> dict[str, np.ndarray]:
    """One camera, point, weight and feature, each repeated; observation i is of camera i mod n and point i mod m."""
    camera, point, weight, feature = np.split(values, [11, 14, 15])
    each = np.arange(observations)
    return {
        "cams": np.tile(camera, (cameras, 1)),
        "X": np.tile(point, (points, 1)),
        "w": np.repeat(weight, observations),
        "feats": np.tile(feature, (observations, 1)),
        "camera": each % cameras,
        "point": each % points,
    }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python load.py DATA.txt INPUTS.npz")
    np.savez(sys.argv[2], **load(sys.argv[1]))
