"""The configuration of extractive question answering: the answer is a span of a given context."""

from dataclasses import dataclass
from typing import ClassVar

from t2t.errors import UserError
from t2t.models.architecture import ENCODER
from t2t.objectives.framing import added
from t2t.objectives.length_check import check_length
from t2t.objectives.traits import Traits

ADDED = added(2)  # of a question and a context


@dataclass(frozen=True)
class ExtractiveSpans(Traits):
    """A question's answer is where it begins and ends in a context (Devlin et al. 2019, section 4.2).

    Rows of `length` are [CLS] question [SEP] context [SEP]; a question is cut to `question_length`
    tokens. A context that does not fit is read in windows that begin `stride` tokens behind each
    other; a window without the whole answer is to point at [CLS] twice (run_squad.py). Answers that
    are read off have at most `answer_length` tokens.
    null_threshold: there is no answer where [CLS] twice scores more than this above the best span, in
    the window where that scores least (run_squad.py's null_score_diff_threshold, SQuAD 2.0; 0 before it
    is tuned); None: every question has one. The model's token_classes are 2, for start and
    end; with two token_types or more the question is of type 0, the context of type 1.
    """

    length: int = 384
    question_length: int = 64
    stride: int = 128
    answer_length: int = 30
    null_threshold: float | None = None

    suits: ClassVar[str] = ENCODER
    takes_token_marks: ClassVar[bool] = True

    def check(self, where: str) -> None:
        check_length(self.length, f"{where}.length", least=8)
        for key in ("question_length", "stride", "answer_length"):
            if getattr(self, key) < 1:
                raise UserError(f"{where}.{key}: {getattr(self, key)} is not positive")
        room = self.length - ADDED - self.question_length
        if self.stride > room:
            raise UserError(
                f"{where}.stride: {self.stride} would leave out tokens of a context: beside a question "
                f"of {self.question_length} a row of {self.length} has room for {max(room, 0)}"
            )


def for_positions(positions: int | None) -> ExtractiveSpans:
    """Returns BERT's settings, as far as a model's positions go (None: any number)."""
    length = min(ExtractiveSpans.length, positions or ExtractiveSpans.length)
    question = min(ExtractiveSpans.question_length, length // 4)
    # Where rows are shorter, windows overlap by half.
    stride = min(ExtractiveSpans.stride, (length - ADDED - question) // 2)
    return ExtractiveSpans(length, question, stride)
