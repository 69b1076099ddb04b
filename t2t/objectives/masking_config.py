"""The configuration of masked language modelling, and of the units in which tokens are masked."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from t2t.errors import UserError
from t2t.models.architecture import ENCODER
from t2t.objectives.length_check import check_length
from t2t.objectives.traits import Traits


@dataclass(frozen=True)
class Tokens:
    """Single tokens are masked (BERT, RoBERTa)."""

    longest: ClassVar[int] = 1

    def check(self, where: str) -> None:
        """Nothing to check."""


@dataclass(frozen=True)
class WholeWords:
    """All pieces of a word are masked together (BERT's whole-word variant)."""

    longest: ClassVar[int] = 1

    def check(self, where: str) -> None:
        """Nothing to check."""


@dataclass(frozen=True)
class NGrams:
    """1 to `longest` words in a row are masked, n of them with a probability in 1/n (ALBERT)."""

    longest: int = 3

    def check(self, where: str) -> None:
        if not 1 <= self.longest <= 64:
            raise UserError(f"{where}.longest: {self.longest} is not in 1..64")


@dataclass(frozen=True)
class ExternalSpans:
    """What a segmenter has found is masked together (ERNIE 1.0, arXiv:1904.09223, section 3.2).

    Shares of the examples whose units are whole words (basic level), also whole phrases, or whole
    entities; of running text from `Jsonl(spans=...)`. Each unit is drawn with probability `rate`, for
    itself, so that an example has more or fewer predictions (at most twice as many).
    """

    basic: float = 0.0
    phrase: float = 0.5
    entity: float = 0.5

    longest: ClassVar[int] = 1

    def check(self, where: str) -> None:
        shares = (self.basic, self.phrase, self.entity)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise UserError(f"{where}.basic: shares {shares} are negative, or not 1 together")


@dataclass(frozen=True)
class MaskedLM(Traits):
    """Masked language modelling (Devlin et al. 2019, section 3.1), alone or with pairs of segments.

    `length` counts [CLS] and [SEP]s. Of an example's tokens round(rate * tokens) are predicted, at
    least one and at most `predictions` (None: those of a full row), in whole `unit`s as far as they
    fit. Of these `masked` become [MASK], `random` a random token, the others stay.

    pairs: `next_sentence` (BERT: the second segment is from another document half of the time),
    `sentence_order` (ALBERT: two segments change places half of the time), where segments end with
    sentences; `dialogue` (ERNIE 1.0: up to three turns in a row, a segment each, whose types are 0 for
    queries and 1 for responses; half of the time one is another dialogue's), of text from
    `Jsonl(spans=...)` whose spans are its turns, under order='packed'. rarity: tokens are drawn with probabilities in count ** -rarity of the training text
    (DistilBERT and XLM: 0.7); 0: all alike. short_share: share of examples cut to a random length (BERT: 0.1).
    static_copies: masks are drawn once for each example and copy, and come again (BERT: 10; needs
    order='packed', where epochs have the same examples); 0: new ones every time (RoBERTa).
    pair_weight: factor of the pair's loss, a mean over pairs, beside that of the tokens.
    replaced_weight: where a generator writes over the places (config.generator), factor of the mean
    loss of telling its tokens from the originals. ELECTRA leaves 15 % of the places as they are and
    makes none random: masked=0.85, random=0.
    """

    length: int = 512
    rate: float = 0.15
    predictions: int | None = None
    unit: Tokens | WholeWords | NGrams | ExternalSpans = Tokens()
    masked: float = 0.8
    random: float = 0.1
    rarity: float = 0.0
    pairs: Literal["none", "next_sentence", "sentence_order", "dialogue"] = "none"
    short_share: float = 0.0
    static_copies: int = 0
    pair_weight: float = 1.0
    replaced_weight: float = 50.0

    suits: ClassVar[str] = ENCODER
    takes_marks: ClassVar[bool] = True
    shows_places: ClassVar[bool] = True

    @property
    def takes_counts(self) -> bool:
        return self.rarity > 0

    @property
    def takes_other_text(self) -> bool:
        return self.pairs in ("next_sentence", "dialogue")

    @property
    def takes_segments(self) -> bool:
        return isinstance(self.unit, ExternalSpans) or self.pairs == "dialogue"

    def check(self, where: str) -> None:
        check_length(self.length, f"{where}.length", least=16)
        if not 0.0 < self.rate < 1.0:
            raise UserError(f"{where}.rate: {self.rate} is not between 0 and 1")
        if self.predictions is not None and not 1 <= self.predictions <= self.length:
            raise UserError(f"{where}.predictions: {self.predictions} is not in 1..{self.length}")
        self.unit.check(f"{where}.unit")
        if self.masked < 0 or self.random < 0 or not self.masked + self.random <= 1.0 + 1e-9:
            raise UserError(
                f"{where}.masked: shares {self.masked} masked and {self.random} random must not be "
                "negative, nor over 1 together"
            )
        if not 0.0 <= self.rarity <= 1.0:
            raise UserError(f"{where}.rarity: {self.rarity} is not in 0..1")
        if self.rarity and not isinstance(self.unit, Tokens):
            raise UserError(f"{where}.rarity: {self.rarity} needs {where}.unit=Tokens()")
        if not 0.0 <= self.short_share <= 1.0:
            raise UserError(f"{where}.short_share: {self.short_share} is not in 0..1")
        if not 0 <= self.static_copies <= 1000:
            raise UserError(f"{where}.static_copies: {self.static_copies} is not in 0..1000")
        for key in ("pair_weight", "replaced_weight"):
            if not (math.isfinite(getattr(self, key)) and getattr(self, key) > 0):
                raise UserError(f"{where}.{key}: {getattr(self, key)} is not positive")
