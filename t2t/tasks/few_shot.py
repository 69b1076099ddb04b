"""Prompts with examples of the training split before the question, for models that are prompted."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from t2t.errors import UserError
from t2t.tasks.labels import UNLABELLED
from t2t.tasks.task import Example


def with_shots(
    examples: Iterable[Example], pool: Sequence[Example], shots: int, seed: int
) -> Iterator[Example]:
    """Examples whose input is `shots` solved ones and then their own, blank lines between them.

    Which are shown is a function of (seed, the example's place); none shows its own input, solved.
    Raises UserError where the pool holds too few.
    """
    pool = [example for example in pool if example.target != UNLABELLED]
    times = collections.Counter(example.input for example in pool)
    for number, example in enumerate(examples):
        enough = shots + times[example.input]
        if len(pool) < enough:
            raise UserError(
                f"--shots={shots}: the training split holds only "
                f"{len(pool) - times[example.input]} other solved examples"
            )
        drawn = np.random.default_rng([seed, number]).choice(len(pool), enough, replace=False)
        others = [pool[i] for i in drawn if pool[i].input != example.input]
        solved = [f"{one.input}\n{one.target}\n\n" for one in others[:shots]]
        yield dataclasses.replace(example, input="".join(solved) + example.input, texts=())
