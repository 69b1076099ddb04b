"""Where a run's parameters come from before its first step, when they are not drawn at random."""

import dataclasses
from typing import TypeAlias

from t2t.errors import UserError


@dataclasses.dataclass(frozen=True)
class FromRun:
    """The parameters of another run's checkpoint, nothing else of it: fine-tuning.

    path: that run's directory. step: which checkpoint (None: the newest sound one). Optimizer state
    and steps begin anew. The model must be of that run's shape and the vocabulary must be its own
    (`tokenizer=RunTokenizer()` takes it from there); dropout, dtype and such may differ.
    """

    path: str
    step: int | None = None

    def check(self, where: str) -> None:
        _check_path(self.path, where, "the directory of a run")
        _check_step(self.step, where)


@dataclasses.dataclass(frozen=True)
class FromHuggingFace:
    """The parameters of a Hugging Face directory (config.json, safetensors): fine-tuning.

    The model must be the one that it holds; dropout, dtype and such may differ.
    `tokenizer=RunTokenizer()` takes the vocabulary that lies beside the weights.
    """

    path: str

    def check(self, where: str) -> None:
        _check_path(self.path, where, "a Hugging Face directory")


@dataclasses.dataclass(frozen=True)
class FromT5X:
    """The parameters of a T5X checkpoint, its optimizer's state left out: fine-tuning.

    path: the checkpoint or the folder of its run (then step None is the newest). T5X keeps the
    activation and the vocabulary in gin files: those are this run's.
    """

    path: str
    step: int | None = None

    def check(self, where: str) -> None:
        _check_path(self.path, where, "a T5X checkpoint")
        _check_step(self.step, where)


@dataclasses.dataclass(frozen=True)
class FromTeacher:
    """Some layers of config.teacher's model, and what else it has that this one has too (DistilBERT).

    layers: those of the teacher, from 0, that this model's layers begin as, in order. But for their
    number both models must be alike; segment types and a pair's head may be missing here.
    """

    layers: tuple[int, ...] = (0, 2, 4, 7, 9, 11)

    def check(self, where: str) -> None:
        if not self.layers or min(self.layers) < 0:
            raise UserError(f"{where}.layers: {self.layers} are no layers of a model")


Initial: TypeAlias = FromRun | FromHuggingFace | FromT5X | FromTeacher


def _check_path(path: str, where: str, what: str) -> None:
    if not path.strip():
        raise UserError(f"{where}.path: empty; name {what}")


def _check_step(step: int | None, where: str) -> None:
    if step is not None and step < 0:
        raise UserError(f"{where}.step: must not be negative, got {step}")
