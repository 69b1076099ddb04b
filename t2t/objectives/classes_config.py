"""The configuration of classification by a head: which of some labels is a text?"""

from dataclasses import dataclass
from typing import ClassVar

from t2t.errors import UserError
from t2t.models.architecture import ENCODER
from t2t.objectives.length_check import check_length
from t2t.objectives.traits import Traits


@dataclass(frozen=True)
class Classes(Traits):
    """A text's label, from the state of its [CLS] (Devlin et al. 2019, section 4.1; XLNet's stands last).

    labels: the targets of the task in order of their numbers, one of which every text has; the model's
    pair_classes are as many. Rows of `length` are [CLS], input, [SEP], for a model with relative
    attention input, [SEP], [CLS]; inputs that are longer are cut.
    """

    labels: tuple[str, ...]
    length: int = 512

    suits: ClassVar[str] = ENCODER

    def check(self, where: str) -> None:
        check_length(self.length, f"{where}.length")
        if len(set(self.labels)) < max(2, len(self.labels)):
            raise UserError(f"{where}.labels: {self.labels} are not two or more different ones")


@dataclass(frozen=True)
class Classified(Traits):
    """What `Classes` is for a model; last: whether [CLS] stands behind its text."""

    labels: tuple[str, ...]
    length: int
    last: bool = False

    suits: ClassVar[str] = ENCODER
