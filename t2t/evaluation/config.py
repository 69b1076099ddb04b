"""What an evaluation may change about its tasks."""

from dataclasses import dataclass

from t2t.errors import UserError


@dataclass(frozen=True)
class Evaluation:
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
        for name in ("limit", "shots", "seed", "beams", "inputs_length", "targets_length"):
            if getattr(self, name) < 0:
                raise UserError(f"{where}{name}: must not be negative, got {getattr(self, name)}")
        if self.batch_size < 1:
            raise UserError(f"{where}batch_size: must be at least 1, got {self.batch_size}")
        if self.resamples < 0:
            raise UserError(f"{where}resamples: must not be negative, got {self.resamples}")
