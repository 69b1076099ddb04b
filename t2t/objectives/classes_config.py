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
    pair_classes are as many. Rows of `length` are texts in their frame (framing.py); the longer of two
    is cut first.
    plain: the task's one or two texts as published, as published classifiers were trained, of types 0
    and 1 where the model's token_types are 2 or more. False: its input in T5's words, one text.
    """

    labels: tuple[str, ...]
    length: int = 512
    plain: bool = False

    suits: ClassVar[str] = ENCODER

    def check(self, where: str) -> None:
        check_length(self.length, f"{where}.length")
        if len(set(self.labels)) < max(2, len(self.labels)):
            raise UserError(f"{where}.labels: {self.labels} are not two or more different ones")


@dataclass(frozen=True)
class Classified(Traits):
    """What `Classes` is for a model; last: whether [CLS] stands behind its text.

    types: whether types tell a second text from the first; separators: the [SEP]s between them.
    """

    labels: tuple[str, ...]
    length: int
    last: bool = False
    types: bool = False
    separators: int = 1

    suits: ClassVar[str] = ENCODER
    takes_two_texts: ClassVar[bool] = True
