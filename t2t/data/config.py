"""Configuration of training and held-out data: corpora, their mixture, sample order, batches."""

from dataclasses import dataclass
from typing import Literal

from t2t.data.augmentation_config import Augmentation
from t2t.data.source_config import Source, Task
from t2t.errors import UserError


@dataclass(frozen=True)
class Corpus:
    """A named source. `rate` is its factor in the mixture; `documents` the part of it used.

    `documents=(0.0, 0.98)` takes the first 98 % of the documents (of a task, of its examples);
    `(0.98, 1.0)` are all others.
    """

    name: str
    source: Source
    rate: float = 1.0
    documents: tuple[float, float] = (0.0, 1.0)

    def check(self, where: str) -> None:
        if not self.name or not all(c.isalnum() or c in "_-." for c in self.name):
            raise UserError(
                f"{where}.name: {self.name!r} must be made of letters, digits, '_', '-' and '.'"
            )
        if not self.rate > 0:
            raise UserError(f"{where}.rate: {self.rate} is not positive; remove the corpus instead")
        first, last = self.documents
        if not 0.0 <= first < last <= 1.0:
            raise UserError(
                f"{where}.documents: {self.documents} is not an increasing pair in 0..1"
            )
        self.source.check(f"{where}.source")

    @property
    def is_task(self) -> bool:
        """Whether it gives pairs of input and target, not running text."""
        return isinstance(self.source, Task)


@dataclass(frozen=True)
class Mixture:
    """Corpora and how their shares of the samples are found.

    `rate`: shares of the rows are the corpora's rates. `size`: rate * tokens. `temperature`: rate *
    tokens^(1 / temperature), as mT5's. `maximum` caps the tokens of a corpus before that. `unimax`:
    `budget`, the tokens of the whole run, in equal parts, except that no corpus is read more often than
    `epochs` times (UniMax, arXiv:2304.09151, as umT5's); what that leaves goes to the larger ones.
    With tasks, sizes, budget and shares are in examples and not in tokens and rows, as T5's
    examples-proportional mixing with limit `maximum` (Raffel et al. 2020, section 3.5.2); a text has
    as many examples as it fills rows.
    """

    corpora: tuple[Corpus, ...]
    weighting: Literal["rate", "size", "temperature", "unimax"] = "rate"
    temperature: float = 1.0
    maximum: int | None = None
    budget: int | None = None
    epochs: float = 1.0

    def check(self, where: str) -> None:
        if not self.corpora:
            raise UserError(f"{where}.corpora: no corpus given")
        _check_corpora(self.corpora, f"{where}.corpora")
        if not self.temperature >= 1.0:
            raise UserError(f"{where}.temperature: {self.temperature} is not at least 1")
        if self.weighting != "temperature" and self.temperature != 1.0:
            raise UserError(
                f"{where}.temperature: only used with weighting='temperature', "
                f"not {self.weighting!r}"
            )
        self._check_unimax(where)
        if self.maximum is not None:
            if self.weighting in ("rate", "unimax"):
                raise UserError(
                    f"{where}.maximum: caps sizes, which weighting={self.weighting!r} does not use"
                )
            if self.maximum < 1:
                raise UserError(f"{where}.maximum: {self.maximum} is not positive")

    def _check_unimax(self, where: str) -> None:
        if self.weighting != "unimax":
            for key, default in (("budget", None), ("epochs", 1.0)):
                if getattr(self, key) != default:
                    raise UserError(
                        f"{where}.{key}: only used with weighting='unimax', not {self.weighting!r}"
                    )
            return
        if self.budget is None or self.budget < 1:
            raise UserError(
                f"{where}.budget: weighting='unimax' divides the tokens that the whole run reads "
                f"(steps x rows x tokens of a row), got {self.budget}"
            )
        if not self.epochs > 0:
            raise UserError(f"{where}.epochs: {self.epochs} is not positive")
        for i, corpus in enumerate(self.corpora):
            if corpus.rate != 1.0:
                raise UserError(
                    f"{where}.corpora[{i}].rate: {corpus.rate} would undo the caps of "
                    "weighting='unimax'; leave it at 1"
                )


@dataclass(frozen=True)
class Data:
    """What is read, in which order, in batches of which size.

    order: `shuffled` (rows cut from the flat token stream, or an example of a task each, in a new
    order each epoch), `packed` (examples that never cross documents, several in a row), `streams` (row r of a batch continues
    row r of the batch before).
    batch_ramp: ((until_step, size), ...) before the final `batch_size`: a size holds for the steps
    below its until_step that no earlier pair covers.
    evaluation_batch_size: rows of a held-out batch; None: `batch_size`.
    read_ahead: batches made ahead of the step that uses them. workers: 0 makes them in threads of
    this process, n in n processes; batches and their order are the same for any number.
    cache_dir: where token stores and packing plans are kept; "" is the user's cache folder.
    augmentation: noise on the inputs of training rows.
    """

    train: Mixture
    evaluation: tuple[Corpus, ...] = ()
    order: Literal["shuffled", "packed", "streams"] = "shuffled"
    batch_size: int = 128
    batch_ramp: tuple[tuple[int, int], ...] = ()
    evaluation_batch_size: int | None = None
    read_ahead: int = 8
    workers: int = 0
    cache_dir: str = ""
    augmentation: Augmentation = Augmentation()

    def check(self, where: str) -> None:
        self.train.check(f"{where}.train")
        self.augmentation.check(f"{where}.augmentation")
        _check_corpora(self.evaluation, f"{where}.evaluation")
        for key in ("batch_size", "evaluation_batch_size", "read_ahead"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise UserError(f"{where}.{key}: {value} is not positive")
        if not 0 <= self.workers <= 256:
            raise UserError(f"{where}.workers: {self.workers} is not in 0..256")
        before = 0
        for until_step, size in self.batch_ramp:
            if until_step <= before:
                raise UserError(
                    f"{where}.batch_ramp: steps must be positive and increase, got {until_step} "
                    f"after {before}; give pairs (until_step, size)"
                )
            if size < 1:
                raise UserError(f"{where}.batch_ramp: batch size {size} is not positive")
            before = until_step
        if self.order == "streams" and self.batch_ramp:
            raise UserError(
                f"{where}.batch_ramp: order='streams' needs one batch size, since a row continues "
                "the same row of the batch before"
            )
        for key, corpora in (
            ("train.corpora", self.train.corpora),
            ("evaluation", self.evaluation),
        ):
            for i, corpus in enumerate(corpora):
                if self.order == "streams" and corpus.is_task:
                    raise UserError(
                        f"{where}.{key}[{i}]: order='streams' needs running text, and "
                        f"{corpus.name!r} is a task; take 'shuffled' or 'packed'"
                    )

    def pieces(self) -> tuple[tuple[int, int], ...]:
        """Returns the batch schedule ((from_step, size), ...), as t2t.data.order takes it."""
        begin = (0, *(until_step for until_step, _ in self.batch_ramp))
        sizes = (*(size for _, size in self.batch_ramp), self.batch_size)
        return tuple(zip(begin, sizes, strict=True))


def all_but_a_share(source: Source, share: float, held_out: str) -> dict:
    """Returns `train` and `evaluation` of a Data: all but the last share of some documents, and that."""
    return {
        "train": Mixture((Corpus("text", source, documents=(0.0, 1 - share)),)),
        "evaluation": (Corpus(held_out, source, documents=(1 - share, 1.0)),),
    }


def _check_corpora(corpora: tuple[Corpus, ...], where: str) -> None:
    seen: set[str] = set()
    for i, corpus in enumerate(corpora):
        corpus.check(f"{where}[{i}]")
        if corpus.name in seen:
            raise UserError(f"{where}[{i}].name: {corpus.name!r} is used twice")
        seen.add(corpus.name)
