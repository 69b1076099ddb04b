"""The y axis of a chart: what values it spans, where it is ticked, how its numbers are written."""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Scale:
    """Values from `low` to `high`, evenly by value or by logarithm."""

    low: float
    high: float
    log: bool = False

    def place(self, values: np.ndarray) -> np.ndarray:
        """Returns how high values stand: 0 at `low`, 1 at `high`."""
        if self.log:
            return np.log(values / self.low) / math.log(self.high / self.low)
        return (values - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Returns a few round values of the span, ascending."""
        if not self.log:
            return _round_values(self.low, self.high)
        decades = math.log10(self.high / self.low)
        if decades < 1.2:
            return [tick for tick in _round_values(self.low, self.high) if tick > 0]
        digits = (1, 2, 5) if decades < 3 else (1,)
        every = max(1, math.ceil(decades / 6))
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        ticks = [d * 10.0**e for e in range(first, last + 1) if e % every == 0 for d in digits]
        return [tick for tick in ticks if self.low <= tick <= self.high]


def linear(values: np.ndarray, zero: bool = False) -> Scale:
    """Returns a scale that holds all finite values; from zero where that is asked."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if zero and low >= 0:
        low = 0.0
    spread = high - low
    margin = 0.05 * spread if spread > 1e-12 * max(abs(low), abs(high)) else (abs(high) or 1) * 0.1
    return Scale(low if zero and low == 0 else low - margin, high + margin)


def logarithmic(values: np.ndarray) -> Scale | None:
    """Returns a logarithmic scale that holds all positive finite values; None where none is."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return None
    low, high = float(positive.min()), float(positive.max())
    factor = max((high / low) ** 0.05, 1.02)
    return Scale(low / factor, high * factor, log=True)


def _round_values(low: float, high: float, fewest: float = 3.5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten in [low, high], `fewest` or more to the span."""
    widest = (high - low) / fewest
    power = 10.0 ** math.floor(math.log10(widest))
    step = max(power * digit for digit in (1, 2, 5) if power * digit <= widest)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def step_ticks(last: int) -> list[int]:
    """Returns round step numbers from 0 to `last`."""
    return [int(tick) for tick in _round_values(0, max(last, 1), 2.5) if tick == int(tick)]


def short(value: float) -> str:
    """Returns an axis label: `5k`, `2.5M`, `0.25`, `1e-4`."""
    if value == 0:
        return "0"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit * 0.9999:
            return f"{value / unit:.4g}{name}"
    if abs(value) < 1e-3:
        return _exponent(f"{value:.3g}" if "e" in f"{value:.3g}" else f"{value:e}")
    return f"{value:.4g}"


def number(value: float) -> str:
    """Returns a value to be read: `12,345`, `2.310`, `1.20e-5`, `nan`. script.js does the same."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 999.95:
        return f"{value:,.0f}"
    if 0 < abs(value) < 1e-3:
        return _exponent(f"{value:.2e}")
    return f"{value:#.4g}" if value else "0"


def _exponent(text: str) -> str:
    """`1.20e-05` -> `1.20e-5`."""
    digits, _, power = text.partition("e")
    if "." in digits and len(text) > 8:
        digits = digits.rstrip("0").rstrip(".")
    return f"{digits}e{int(power)}" if power else digits
