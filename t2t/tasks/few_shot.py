"""Prompts with examples of the training split before the question, for models that are prompted."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from t2t.errors import UserError
from t2t.tasks.labels import UNLABELLED
from t2t.tasks.task import Example


def with_shots(
    examples: Iterable[Example], pool: Sequence[Example], shots: int, seed: int
) -> Iterator[Example]:
    """Examples whose input is `shots` solved ones and then their own, blank lines between them.

    Which are shown is a function of (seed, the example's place); an example never shows itself.
    Raises UserError where the pool holds too few.
    """
    pool = [example for example in pool if example.target != UNLABELLED]
    for number, example in enumerate(examples):
        order = np.random.default_rng([seed, number]).permutation(len(pool))
        others = (pool[i] for i in order if pool[i].input != example.input)
        shown = list(itertools.islice(others, shots))
        if len(shown) < shots:
            raise UserError(
                f"--shots={shots}: the training split holds only {len(pool)} solved examples"
            )
        solved = [f"{one.input}\n{one.target}\n\n" for one in shown]
        yield dataclasses.replace(example, input="".join(solved) + example.input)
