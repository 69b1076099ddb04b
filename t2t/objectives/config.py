"""Configurations of the objectives: how raw tokens, or pairs of texts, become inputs and targets."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from t2t.errors import UserError
from t2t.models.architecture import DECODER, ENCODER, ENCODER_DECODER
from t2t.objectives.classes_config import Classes
from t2t.objectives.ernie_config import TASKS as TASKS
from t2t.objectives.ernie_config import ErnieTasks
from t2t.objectives.ernie_config import Stage as Stage
from t2t.objectives.extractive_config import ExtractiveSpans
from t2t.objectives.length_check import check_length

# Recipes take all units from here.
from t2t.objectives.masking_config import ExternalSpans as ExternalSpans
from t2t.objectives.masking_config import MaskedLM
from t2t.objectives.masking_config import NGrams as NGrams
from t2t.objectives.masking_config import Tokens as Tokens
from t2t.objectives.masking_config import WholeWords as WholeWords
from t2t.objectives.traits import Traits

ANY = "any stacks"


@dataclass(frozen=True)
class SpanCorruption(Traits):
    """T5's span corruption (Raffel et al. 2020, section 3.1.4).

    `inputs_length` counts encoder tokens with sentinels and EOS; how many raw tokens fill it, and
    how long the targets get, follows. A larger `targets_length` pads every row.
    `random_roll` moves the spans around the row's ends, so that the first token is not always kept
    and the last not always masked.
    """

    inputs_length: int = 512
    targets_length: int | None = None
    noise_density: float = 0.15
    mean_noise_span_length: float = 3.0
    random_roll: bool = False

    suits: ClassVar[str] = ENCODER_DECODER

    def check(self, where: str) -> None:
        if self.inputs_length < 4:
            raise UserError(f"{where}.inputs_length: {self.inputs_length} is too short; at least 4")
        if self.inputs_length > 1 << 20:
            raise UserError(f"{where}.inputs_length: {self.inputs_length} is over 2^20")
        density = self.noise_density
        if not (math.isfinite(density) and 0.0 < density < 1.0):
            raise UserError(f"{where}.noise_density: {density} is not between 0 and 1")
        mean = self.mean_noise_span_length
        if not (math.isfinite(mean) and mean >= 1.0):
            raise UserError(f"{where}.mean_noise_span_length: {mean} is not at least 1")
        # A row of R raw tokens keeps about (1 - density) R of them.
        if self.inputs_length / (1.0 - density) > 1 << 24:
            raise UserError(
                f"{where}.noise_density: {density} would put over 2^24 raw tokens in a row"
            )
        from t2t.objectives import span_corruption

        needed = span_corruption.lengths_for(self, span_corruption.raw_length(self))[1]
        if self.targets_length is not None and self.targets_length < needed:
            raise UserError(
                f"{where}.targets_length: {self.targets_length} is too short, these settings make "
                f"targets of {needed} tokens; leave it out or give at least {needed}"
            )


@dataclass(frozen=True)
class TextToText(Traits):
    """The pairs of tasks as they are: an input and its target, each cut to its length with its EOS.

    A decoder alone reads both as one text and predicts the target (`Continuation`), in rows of both
    lengths together; an encoder alone predicts the target's tokens at as many [MASK]s behind the
    input (`Cloze`), in rows of `inputs_length`, and `targets_length` is the most masks of a row.
    In a run with another objective tasks are posed so too, in rows of that objective's lengths.
    """

    inputs_length: int = 512
    targets_length: int = 512

    suits: ClassVar[str] = ANY

    def check(self, where: str) -> None:
        for key in ("inputs_length", "targets_length"):
            check_length(getattr(self, key), f"{where}.{key}", least=2)


@dataclass(frozen=True)
class Continuation(Traits):
    """What `TextToText` is for a decoder alone: rows of `length`, of which an input takes at most
    `inputs_length` with what stands before it, and a target `targets_length` with its EOS."""

    length: int
    inputs_length: int
    targets_length: int

    suits: ClassVar[str] = DECODER


@dataclass(frozen=True)
class Cloze(Traits):
    """What `TextToText` is for an encoder alone: rows of `length`, [CLS], masks and [SEP] counted, with
    at most `answers` masks. last: whether [CLS] stands behind its text."""

    length: int
    answers: int
    last: bool = False

    suits: ClassVar[str] = ENCODER


@dataclass(frozen=True)
class PrefixLM(Traits):
    """The beginning of a text is the input, the rest the target (Raffel et al. 2020, section 3.2.1).

    The place of the cut is drawn uniformly, at least one token on either side (T5's prefix_lm, with
    which T5 1.1 was adapted to a language model). `length` is that of inputs and of targets, EOS
    counted: a row has length - 1 raw tokens.
    """

    length: int = 512

    suits: ClassVar[str] = ENCODER_DECODER

    def check(self, where: str) -> None:
        check_length(self.length, f"{where}.length")


@dataclass(frozen=True)
class Denoiser:
    """One of UL2's: span corruption at a density and mean span; no mean: one span, at the end.

    rate: its factor in the mixture.
    """

    mode: Literal["R", "S", "X"]
    noise_density: float
    mean_noise_span_length: float | None = None
    rate: float = 1.0

    def check(self, where: str) -> None:
        if not 0.0 < self.noise_density < 1.0:
            raise UserError(f"{where}.noise_density: {self.noise_density} is not between 0 and 1")
        mean = self.mean_noise_span_length
        if mean is not None and not (math.isfinite(mean) and mean >= 1.0):
            raise UserError(f"{where}.mean_noise_span_length: {mean} is not at least 1")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise UserError(
                f"{where}.rate: {self.rate} is not positive; remove the denoiser instead"
            )


UL2_DENOISERS = (
    Denoiser("R", 0.15, 3.0),
    Denoiser("R", 0.15, 8.0),
    Denoiser("S", 0.25),
    Denoiser("X", 0.5, 3.0),
    Denoiser("X", 0.5, 8.0),
    Denoiser("X", 0.15, 64.0),
    Denoiser("X", 0.5, 64.0),
)


@dataclass(frozen=True)
class UL2(Traits):
    """UL2's mixture of denoisers (Tay et al. 2022, table 1), one drawn for each sample.

    Each input begins with its mode's token: `mode_tokens` are those of R, X and S, special tokens
    that the vocabulary must have (config.tokenizer.named); () leaves them out. A row has as many raw
    tokens as every denoiser has room for in inputs_length and targets_length.
    """

    inputs_length: int = 512
    targets_length: int = 512
    denoisers: tuple[Denoiser, ...] = UL2_DENOISERS
    mode_tokens: tuple[str, ...] = ("[NLU]", "[NLG]", "[S2S]")

    suits: ClassVar[str] = ENCODER_DECODER

    def check(self, where: str) -> None:
        for key in ("inputs_length", "targets_length"):
            check_length(getattr(self, key), f"{where}.{key}", least=16)
        if not self.denoisers:
            raise UserError(f"{where}.denoisers: none given")
        for i, denoiser in enumerate(self.denoisers):
            denoiser.check(f"{where}.denoisers[{i}]")
        if len(self.mode_tokens) not in (0, 3):
            raise UserError(f"{where}.mode_tokens: give those of R, X and S, or none")


@dataclass(frozen=True)
class CausalLM(Traits):
    """Each token from those before it (GPT). A text begins with the vocabulary's BOS, or its EOS
    where it has none, which is read and not predicted; `length` tokens of a row are predicted."""

    length: int = 1024

    suits: ClassVar[str] = DECODER

    def check(self, where: str) -> None:
        check_length(self.length, f"{where}.length")


@dataclass(frozen=True)
class PermutationLM(Traits):
    """Permutation language modelling (Yang et al. 2019, sections 2.2 to 2.5; their data_utils.py).

    One in `one_in` tokens of a row is predicted (at most `predictions`, None: those of a full row), in
    spans of 1 to `longest` tokens from a word's beginning, n of them with a probability in 1/n. A
    prediction sees all tokens that are none, and those predictions that come before it in a random
    order.
    reuse: so many tokens at the beginning of a row are text that sees nothing of what comes behind it
    (0: a row is one text). pairs: behind them stand two segments, in half of the rows the second is
    from another document. Published: length 512, reuse 256, pairs.
    memory: how many tokens before a row each layer remembers, of the first `reuse` of the rows before
    it (0 of them: of all). It needs order='streams', where a row begins behind what is remembered.
    both_ways: half of the streams read their text from its end, token by token (the released data's
    `bi_data`); they are cut at the same sentences and predict the same spans as forwards, and held-out
    text is read forwards. It needs order='streams' too.
    """

    length: int = 512
    one_in: int = 6
    predictions: int | None = None
    longest: int = 5
    reuse: int = 0
    pairs: bool = False
    memory: int = 0
    both_ways: bool = False

    suits: ClassVar[str] = ENCODER
    takes_marks: ClassVar[bool] = True

    @property
    def takes_other_text(self) -> bool:
        return self.pairs

    def check(self, where: str) -> None:
        check_length(self.length, f"{where}.length", least=16)
        if not 2 <= self.one_in <= self.length:
            raise UserError(f"{where}.one_in: {self.one_in} is not in 2..{self.length}")
        if self.predictions is not None and not 1 <= self.predictions <= self.length:
            raise UserError(f"{where}.predictions: {self.predictions} is not in 1..{self.length}")
        if not 1 <= self.longest <= 64:
            raise UserError(f"{where}.longest: {self.longest} is not in 1..64")
        if not 0 <= self.reuse <= self.length - 8:
            raise UserError(f"{where}.reuse: {self.reuse} is not in 0..{self.length - 8}")
        if not 0 <= self.memory <= 1 << 20:
            raise UserError(f"{where}.memory: {self.memory} is not in 0..2^20")
        if self.memory and self.pairs and not self.reuse:
            raise UserError(
                f"{where}.reuse: 0 with pairs, whose segments do not go on in the next row; "
                "a memory needs text to remember"
            )


Objective: TypeAlias = (
    SpanCorruption
    | TextToText
    | PrefixLM
    | UL2
    | CausalLM
    | MaskedLM
    | PermutationLM
    | ErnieTasks
    | ExtractiveSpans
    | Classes
)
