"""The configuration of ERNIE 2.0's tasks, and of the stages in which they are added."""

import math
from dataclasses import dataclass
from typing import ClassVar

from t2t.errors import UserError
from t2t.models.architecture import ENCODER
from t2t.objectives.discourse_markers import MARKERS
from t2t.objectives.masking_config import ExternalSpans, MaskedLM, NGrams, WholeWords
from t2t.objectives.traits import Traits

TASKS = ("knowledge", "capital", "relation", "reordering", "distance", "discourse")
# Behind them the task that pairs of texts pose.
ALL_TASKS = (*TASKS, "relevance")


@dataclass(frozen=True)
class Stage:
    """Shares of ERNIE 2.0's tasks in the examples of a stretch of training.

    samples: how many it has; 0: all that follow.
    """

    samples: int = 0
    knowledge: float = 0.4
    capital: float = 0.15
    relation: float = 0.15
    reordering: float = 0.15
    distance: float = 0.15
    discourse: float = 0.0

    def shares(self) -> tuple[float, ...]:
        """In the order of `TASKS`."""
        return tuple(getattr(self, task) for task in TASKS)

    def check(self, where: str) -> None:
        if self.samples < 0:
            raise UserError(f"{where}.samples: {self.samples} is negative")
        if min(self.shares()) < 0 or abs(sum(self.shares()) - 1) > 1e-9:
            raise UserError(f"{where}: shares {self.shares()} are negative, or not 1 together")
        if not self.knowledge:
            raise UserError(f"{where}.knowledge: 0; masked tokens are predicted in every stage")


@dataclass(frozen=True)
class ErnieTasks(Traits):
    """ERNIE 2.0's tasks that running text has (arXiv:1907.12412, section 4.2), one an example.

    knowledge: masked tokens, in whole `unit`s. capital: which words begin with a capital letter.
    relation: which tokens stand in the document's next segment too. reordering: in which of the 9
    orders one to three segments stand. distance: whether two segments are neighbours, of one document,
    or of two. discourse: which of the `markers` began the second of two sentences, where it left it out
    (Sileo et al. 2019), of any place of the corpus where one stands. `stages` follow each other (continual
    multi-task learning); held-out text is of the last.
    relevance: the labels of pairs of texts, queries and titles, where corpora of the mixture are tasks
    whose examples are such pairs (IR relevance); their rate is their share, in every stage.
    The model's token_classes are 4, task_types 5 and pair_classes 12; with discourse 6, and one more for
    each marker; with relevance 7, and one more for each label. Its token_types are 3 or more.
    Text is `Jsonl(spans=...)`, which keeps capitals. weight: of each task's mean loss beside the mean
    of the masked tokens; `rate`, `masked` and `random` as MaskedLM's.
    """

    length: int = 512
    unit: WholeWords | NGrams | ExternalSpans = ExternalSpans()
    rate: float = 0.15
    masked: float = 0.8
    random: float = 0.1
    weight: float = 1.0
    stages: tuple[Stage, ...] = (Stage(),)
    markers: tuple[str, ...] = MARKERS
    relevance: tuple[str, ...] = ()

    suits: ClassVar[str] = ENCODER
    takes_marks: ClassVar[bool] = True
    shows_places: ClassVar[bool] = True
    takes_other_text: ClassVar[bool] = True
    has_stages: ClassVar[bool] = True
    takes_segments: ClassVar[bool] = True

    @property
    def takes_markers(self) -> bool:
        return any(stage.discourse > 0 for stage in self.stages)

    def check(self, where: str) -> None:
        self.masking().check(where)
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise UserError(f"{where}.weight: {self.weight} is not positive")
        if not self.stages:
            raise UserError(f"{where}.stages: none given")
        for i, stage in enumerate(self.stages):
            stage.check(f"{where}.stages[{i}]")
            if (stage.samples == 0) != (i == len(self.stages) - 1):
                raise UserError(
                    f"{where}.stages[{i}].samples: {stage.samples}; the last stage has 0 (all that "
                    "follow), the others have their number"
                )
        if self.takes_markers and len(set(self.markers)) < max(2, len(self.markers)):
            raise UserError(f"{where}.markers: not two or more different ones")
        if self.relevance and len(set(self.relevance)) < max(2, len(self.relevance)):
            raise UserError(
                f"{where}.relevance: {self.relevance} are not two or more different labels"
            )
        for i, marker in enumerate(self.markers):
            if marker != " ".join(marker.split()) or not marker:
                raise UserError(
                    f"{where}.markers[{i}]: {marker!r} is no words with a space between"
                )

    def masking(self) -> MaskedLM:
        """How the examples of knowledge masking are masked."""
        return MaskedLM(self.length, self.rate, None, self.unit, self.masked, self.random)


@dataclass(frozen=True)
class Relevance(Traits):
    """How a run with `tasks` poses the pairs of its mixture, a query and a title each."""

    tasks: ErnieTasks

    suits: ClassVar[str] = ENCODER
    takes_two_texts: ClassVar[bool] = True
    separators: ClassVar[int] = 1

    @property
    def length(self) -> int:
        return self.tasks.length

    @property
    def labels(self) -> tuple[str, ...]:
        return self.tasks.relevance
