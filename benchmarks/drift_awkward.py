"""Columns that change detectors find awkward and that do not change: dependent, heavy-tailed, rare, odd."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
Make = Callable[[np.random.Generator, int], NDArray[Any]]


def autoregressive(rho: float, rng: np.random.Generator, count: int) -> Floats:
    """Return values of variance 1 of which each depends on the one before (AR(1))."""
    noise = rng.normal(size=count) * np.sqrt(1 - rho * rho)
    noise[0] = rng.normal()
    return np.asarray(lfilter([1.0], [1.0, -rho], noise))


def runs(length: int, values: Make, rng: np.random.Generator, count: int) -> NDArray[Any]:
    """Return runs of equal values, `length` long in the mean: a customer's events follow each other."""
    lengths = rng.geometric(1 / length, size=2 * count // length + 50)
    return np.repeat(values(rng, len(lengths)), lengths)[:count]


def nearly_constant(share: float, rng: np.random.Generator, count: int) -> Floats:
    """Return zeros, and in a share of the events a heavy-tailed value."""
    return np.where(rng.random(count) < share, rng.lognormal(3, 1.5, count), 0.0)


def wild(share: float, value: float, rng: np.random.Generator, count: int) -> Floats:
    """Return normal values, and `value` in a share of the events."""
    return np.where(rng.random(count) < share, value, rng.normal(size=count))


def _texts(prefix: str, numbers: NDArray[Any]) -> NDArray[Any]:
    return np.array([f"{prefix}{number}" for number in numbers.tolist()], dtype=object)


def _normal(rng: np.random.Generator, count: int) -> Floats:
    return rng.normal(size=count)


DEPENDENT: Mapping[str, Make] = {
    "AR(1) 0.9": partial(autoregressive, 0.9),
    "AR(1) 0.99": partial(autoregressive, 0.99),
    "runs of 20 normal values": partial(runs, 20, _normal),
    "runs of 300 normal values": partial(runs, 300, _normal),
    "runs of 100 flags": partial(runs, 100, lambda rng, n: (rng.random(n) < 0.3).astype(float)),
    "runs of 100 customers (text)": partial(runs, 100, lambda rng, n: _texts("c", rng.integers(0, 8, n))),
}
AWKWARD: Mapping[str, Make] = {
    "Zipf 1.5": lambda rng, n: np.minimum(rng.zipf(1.5, n), 10**12).astype(float),
    "Zipf 2, text": lambda rng, n: _texts("p", np.minimum(rng.zipf(2.0, n), 10_000)),
    "nearly constant, 1:500 heavy": partial(nearly_constant, 1 / 500),
    "log-normal, sigma 3": lambda rng, n: rng.lognormal(0, 3, n),
    "Pareto 1": lambda rng, n: rng.pareto(1.0, n),
    "1e30 in 1:2000": partial(wild, 1 / 2000, 1e30),
    "integers": lambda rng, n: rng.integers(0, 1_000_000, n).astype(float),
    "ids (text)": lambda rng, n: _texts("id-", rng.integers(0, 10**9, n)),
    "constant": lambda _, n: np.full(n, 7.0),
    "constant text": lambda _, n: np.full(n, "same", dtype=object),
    "zero-inflated": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.lognormal(2, 1, n)),
    "rare flag": lambda rng, n: (rng.random(n) < 0.001).astype(float),
    "rare category": lambda rng, n: np.where(rng.random(n) < 0.002, "rare", "usual").astype(object),
    "nulls 30 %": lambda rng, n: np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
}
EVERY: Mapping[str, Make] = {**DEPENDENT, **AWKWARD}


def drawn(seed: int, count: int, makers: Mapping[str, Make] = EVERY) -> dict[str, NDArray[Any]]:
    """Return `count` events of the columns of `makers`."""
    rng = np.random.default_rng(seed)
    return {name: make(rng, count) for name, make in makers.items()}
