"""How tasks are judged."""

from dataclasses import dataclass

from t2t.errors import UserError

# What makes other predictions of the same split: each stands in the name that they are kept under.
_VARYING = ("limit", "shots", "seed", "beams", "inputs_length", "targets_length", "rank")


@dataclass(frozen=True)
class Judging:
    """How tasks are judged; zeros and "" leave a task's own choice.

    split: which one. limit: only the first examples, for a quick look. data: the folder of
    published files or prepared TFDS datasets. shots: solved examples of the training split before
    each input, drawn by `seed`. beams: 1 decodes greedily. rank: choose the likeliest of a task's
    choices instead of writing. resamples: bootstrap draws for the intervals (0: none).
    """

    split: str = ""
    limit: int = 0
    data: str = ""
    shots: int = 0
    seed: int = 0
    beams: int = 0
    inputs_length: int = 0
    targets_length: int = 0
    rank: bool = False
    batch_size: int = 32
    resamples: int = 1000

    def check(self, where: str) -> None:
        """Raises UserError naming the first field that is out of range, or does nothing."""
        for name in ("limit", "shots", "seed", "beams", "inputs_length", "targets_length"):
            if getattr(self, name) < 0:
                raise UserError(f"{where}.{name}: must not be negative, got {getattr(self, name)}")
        for name in ("beams", "targets_length"):
            if self.rank and getattr(self, name):
                raise UserError(
                    f"{where}.{name}: is of writing answers, and rank chooses among given ones; "
                    "leave one out"
                )
        if self.seed and not self.shots:
            raise UserError(f"{where}.seed: draws the shots, and shots=0 asks for none")
        if self.batch_size < 1:
            raise UserError(f"{where}.batch_size: must be at least 1, got {self.batch_size}")
        if self.resamples < 0:
            raise UserError(f"{where}.resamples: must not be negative, got {self.resamples}")

    @property
    def variant(self) -> str:
        """What differs from the tasks' own settings, as in `limit_10.shots_4`; "" for nothing."""
        unused = {"seed"} if not self.shots else set()
        given = [name for name in _VARYING if getattr(self, name) and name not in unused]
        return ".".join(n if n == "rank" else f"{n}_{getattr(self, n)}" for n in given)
