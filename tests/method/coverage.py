"""How often a 95% interval holds what it estimates: the estimator on noise of known shape.

A trial draws the blocks of two arms for every round, with kvbench's own numbers of rounds and
blocks, and lets :mod:`kvbench.bench.estimate` make an interval of the speedup. It covers when that
holds the value that the estimator tends to with ever more rounds. Beside it stands the percentile
bootstrap over all blocks, which is what earlier versions and most harnesses use.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvbench.bench.estimate import combine, round_estimate
from kvbench.bench.plan import QUICK, RIGOROUS, Settings

PRESETS = {"--quick": QUICK, "default": Settings(), "--rigorous": RIGOROUS}
TRIALS = 4_000
_LIMIT_ROUNDS = 200_000
_RESAMPLES = 400

Blocks = npt.NDArray[np.float64]
"""Times of one arm: a row for each round, a column for each block."""


@dataclass(frozen=True)
class Noise:
    """A shape of noise.

    Attributes:
        name: as the table has it.
        draw: rounds, blocks and a generator to the times of one arm.
    """

    name: str
    draw: Callable[[int, int, np.random.Generator], Blocks]


def _normal(rounds: int, blocks: int, rng: np.random.Generator) -> Blocks:
    return 1 + 0.05 * rng.standard_normal((rounds, blocks))


def _lognormal(rounds: int, blocks: int, rng: np.random.Generator) -> Blocks:
    return np.exp(0.2 * rng.standard_normal((rounds, blocks)))


def _spikes(rounds: int, blocks: int, rng: np.random.Generator) -> Blocks:
    """15% of the blocks take up to several times as long: an exponential tail."""
    spike = (rng.random((rounds, blocks)) < 0.15) * rng.exponential(1.0, (rounds, blocks))
    return np.exp(0.05 * rng.standard_normal((rounds, blocks))) * (1 + spike)


def _autocorrelated(rounds: int, blocks: int, rng: np.random.Generator) -> Blocks:
    """AR(1) with 0.6 from block to block within a round."""
    shocks = rng.standard_normal((rounds, blocks))
    steps = np.empty_like(shocks)
    steps[:, 0] = shocks[:, 0]
    for block in range(1, blocks):
        steps[:, block] = 0.6 * steps[:, block - 1] + 0.8 * shocks[:, block]
    return 1 + 0.05 * steps


def _between(rounds: int, blocks: int, rng: np.random.Generator) -> Blocks:
    """Each round has an effect that is as large as the spread within it."""
    return _normal(rounds, blocks, rng) + 0.05 * rng.standard_normal((rounds, 1))


NOISES = (
    Noise("normal", _normal),
    Noise("lognormal", _lognormal),
    Noise("15% spikes", _spikes),
    Noise("AR(1) 0.6 within a round", _autocorrelated),
    Noise("effect of the round", _between),
)


def speedups(noise: Noise, rounds: int, blocks: int, rng: np.random.Generator) -> list[float]:
    """The speedup of each round, as kvbench estimates it; the true one is about 5."""
    individual = 5 * noise.draw(rounds, blocks, rng)
    batch = noise.draw(rounds, blocks, rng)
    return [
        round_estimate(over) / round_estimate(under)
        for over, under in zip(individual.tolist(), batch.tolist(), strict=True)
    ]


def limit_of(noise: Noise, blocks: int, rng: np.random.Generator) -> float:
    """What the estimator tends to."""
    individual = np.median(noise.draw(_LIMIT_ROUNDS, blocks, rng), axis=1)
    batch = np.median(noise.draw(_LIMIT_ROUNDS, blocks, rng), axis=1)
    return float(5 * np.exp(np.mean(np.log(individual / batch))))


def coverage(noise: Noise, settings: Settings, trials: int, seed: int = 1) -> float:
    """Share of intervals that hold the limit."""
    rng = np.random.default_rng(seed)
    limit = limit_of(noise, settings.blocks, rng)
    held = 0
    for _ in range(trials):
        figure = combine(speedups(noise, settings.rounds, settings.blocks, rng))
        assert figure.low is not None and figure.high is not None
        held += figure.low <= limit <= figure.high
    return held / trials


def bootstrap_coverage(noise: Noise, settings: Settings, trials: int, seed: int = 1) -> float:
    """The same for the percentile bootstrap of the median over all blocks, rounds forgotten."""
    rng = np.random.default_rng(seed)
    limit = limit_of(noise, settings.blocks, rng)
    held = 0
    for _ in range(trials):
        individual = 5 * noise.draw(settings.rounds, settings.blocks, rng)
        ratios = (individual / noise.draw(settings.rounds, settings.blocks, rng)).ravel()
        picks = rng.integers(0, len(ratios), (_RESAMPLES, len(ratios)))
        low, high = np.percentile(np.median(ratios[picks], axis=1), (2.5, 97.5))
        held += bool(low <= limit <= high)
    return held / trials


def table(trials: int) -> str:
    """The Markdown table of docs/method.md."""
    heads = [f"{name} ({one.rounds} × {one.blocks})" for name, one in PRESETS.items()]
    lines = [
        f"| noise | {' | '.join(heads)} | bootstrap over blocks, default |",
        f"|---|{'---:|' * (len(heads) + 1)}",
    ]
    for noise in NOISES:
        shares = [coverage(noise, settings, trials) for settings in PRESETS.values()]
        shares.append(bootstrap_coverage(noise, Settings(), trials // 4))
        lines.append(f"| {noise.name} | {' | '.join([f'{one:.1%}' for one in shares])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS)
    print(table(parser.parse_args().trials))
