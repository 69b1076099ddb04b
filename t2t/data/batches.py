"""Batches as a function of (seed, sample numbers): stores, mixture, order and objective together.

    step --schedule--> sample numbers --mixture--> corpora's rows --order--> tokens --objective-->

Nothing here has state: any step, and any rows of it, are made without those before. Hosts make the
rows that they need; together they are the batch that a single host makes. Rows of tasks stand beside
rows of running text: the run's objective makes these, text_to_text those, of the same lengths.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from t2t.data import corpus_rows, mixture
from t2t.data.augmentation import augmented
from t2t.data.augmentation_config import Augmentation
from t2t.data.config import Data
from t2t.data.corpus_rows import CorpusRows
from t2t.data.cutting import rows_of
from t2t.data.marker_places import MarkerPlaces, marker_places
from t2t.data.order import Pieces, random_bits, sample_range
from t2t.data.other_texts import around_markers, behind, other_documents
from t2t.errors import UserError
from t2t.objectives.config import Objective
from t2t.objectives.discourse import Marked
from t2t.objectives.implementations import (
    implementation,
    luck,
    of_pairs,
)

# From this bit on the number that an example's randomness hangs on tells its corpus.
CORPUS_BIT = 48
# Examples of like length are read together: rows of a read have one length.
_READ_CLASSES = 4


class Examples(NamedTuple):
    """What stands in the rows of a batch. Arrays [B] by row and [E] by example, in row order."""

    corpus: np.ndarray  # [B]
    epoch: np.ndarray  # [B]
    in_row: np.ndarray  # [B]
    starts: np.ndarray  # [E]: in the corpus's store
    lengths: np.ndarray  # [E]: raw tokens
    number: np.ndarray  # [E]: what the example's randomness hangs on
    target_starts: np.ndarray  # [E]: of pairs, whose inputs are at `starts`; of text 0
    target_lengths: np.ndarray  # [E]
    second_starts: np.ndarray  # [E]: of inputs that are two texts, whose first is at `starts`
    second_lengths: np.ndarray  # [E]: -1: the input is one

    def of_rows(self, rows: np.ndarray) -> "Examples":
        """Returns what stands in some rows alone (bool [B])."""
        there = np.repeat(rows, self.in_row)
        return Examples(*(part[rows] for part in self[:3]), *(part[there] for part in self[3:]))


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """The samples of a training run, or of one held-out corpus. Immutable and picklable.

    stores, corpora: one of each a corpus, named `names`. tree: which corpus a sample comes from.
    documents: the part of each store that is the corpus's, [first, last) documents.
    pieces: the batch schedule. full: whether batches have neither padding nor packing, and so no
    segments and positions. batches: how many there are; None without end. markers: of each corpus, where
    the objective takes them.
    """

    names: tuple[str, ...]
    stores: tuple
    corpora: tuple[CorpusRows, ...]
    documents: tuple[tuple[int, int], ...]
    tree: mixture.SplitTree
    order: str
    pieces: Pieces
    objective: Objective
    vocabulary: object
    seed: int
    purpose: str
    full: bool
    batches: int | None = None
    among: int = 0  # when positive, only the first so many samples are used, over and over
    augmentation: Augmentation = Augmentation()
    markers: tuple[MarkerPlaces, ...] = ()

    def __post_init__(self):
        if self.order == "streams" and len({size for _, size in self.pieces}) > 1:
            raise UserError(
                "data.batch_size: order='streams' needs one batch size for all steps, since a row "
                f"continues the same row of the batch before; the schedule is {self.pieces}"
            )

    def batch_at(self, step: int, rows: slice | np.ndarray | None = None) -> dict:
        """Returns the batch of `step` (host arrays), or only its given rows."""
        return self.rows(self.sample_numbers(step, rows))

    def sample_numbers(self, step: int, rows: slice | np.ndarray | None = None) -> np.ndarray:
        """Returns the numbers int64 [B] of the samples in a batch, or in some rows of it."""
        first, size = sample_range(self.pieces, step)
        numbers = first + (np.arange(size) if rows is None else np.arange(size)[rows])
        return numbers % self.among if self.among else numbers

    def rows(self, samples: np.ndarray) -> dict:
        """Returns the Batch of samples [B]: each row a function of (seed, its sample) alone."""
        samples = np.asarray(samples, np.int64)
        examples = self.examples(samples)
        paired = np.array([rows.paired for rows in self.corpora])[examples.corpus]
        if not paired.any():
            batch = self._text_batch(examples, samples)
        elif paired.all():
            batch = self._pairs_batch(examples)
        else:
            batch = _interleaved(
                paired,
                self._pairs_batch(examples.of_rows(paired)),
                self._text_batch(examples.of_rows(~paired), samples[~paired]),
            )
        batch["sample"] = samples
        if self.augmentation.changes:
            return augmented(self.augmentation, self.vocabulary, self.seed, batch)
        return batch

    def _text_batch(self, examples: Examples, samples: np.ndarray) -> dict:
        corpus, epoch = (np.repeat(a, examples.in_row) for a in (examples.corpus, examples.epoch))
        place = examples.starts + (corpus << CORPUS_BIT)
        number = luck(self.objective, examples.number, place, epoch)
        own = examples.starts, examples.lengths
        blocks, more = {"own": own}, {}
        implemented = implementation(self.objective)
        if self.objective.takes_other_text:
            bits = random_bits(self.seed, f"{self.purpose}/other", number, 2)
            blocks["other"] = other_documents(self.stores, self.documents, corpus, own, bits)
        if self.objective.has_stages:
            *blocks["behind"], begins = behind(self.stores, corpus, own)
            # Held-out text is always of the last stage.
            drawn = np.repeat(samples, examples.in_row)
            more["sample"] = drawn if self.batches is None else np.full_like(drawn, 1 << 62)
        if self.objective.takes_markers:
            bits = random_bits(self.seed, self.purpose, number, 1)[:, 0]
            asked = implemented.asks_marker(self.objective, more["sample"], bits)
            bits = random_bits(self.seed, f"{self.purpose}/marker", number, 1)[:, 0]
            begin, *lengths = around_markers(
                self.stores, self.markers, corpus, examples.lengths, bits, asked
            )
            blocks["marked"] = begin, sum(lengths[:3])
        tokens, starts = self._read(
            np.tile(corpus, len(blocks)),
            *(np.concatenate([one[k] for one in blocks.values()]) for k in (0, 1)),
        )
        at = dict(zip(blocks, np.split(starts, len(blocks)), strict=True))
        if self.objective.takes_other_text:
            more["other"] = at["other"], blocks["other"][1]
        if self.objective.both_ways:
            more["backward"] = self._backward(corpus, examples.number)
        if self.objective.has_stages:
            more["behind"] = at["behind"], blocks["behind"][1], begins
        if self.objective.takes_markers:
            more["marked"] = Marked(at["marked"], *lengths)
        return implemented.make_packed_batch(
            self.objective,
            self.vocabulary,
            tokens,
            at["own"],
            examples.lengths,
            examples.in_row,
            lambda count: random_bits(self.seed, self.purpose, number, count),
            full=self.full,
            **more,
        )

    def _backward(self, corpus: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Which examples [E] are read from their end."""
        backward = np.zeros(corpus.shape, bool)
        for c in np.unique(corpus).tolist():
            of = np.flatnonzero(corpus == c)
            backward[of] = self.corpora[c].backward(number[of] & ((1 << CORPUS_BIT) - 1))
        return backward

    def _pairs_batch(self, examples: Examples) -> dict:
        corpus = np.repeat(examples.corpus, examples.in_row)
        seconds = examples.second_lengths
        tokens, starts = self._read(
            np.concatenate([corpus] * 3),
            np.concatenate([examples.starts, examples.target_starts, examples.second_starts]),
            np.concatenate([examples.lengths, examples.target_lengths, np.maximum(seconds, 0)]),
        )
        inputs, targets, second_starts = np.split(starts, 3)
        pairs = of_pairs(self.objective)
        more = {"seconds": (second_starts, seconds)} if pairs.takes_two_texts else {}
        return implementation(pairs).make_pairs_batch(
            pairs,
            self.vocabulary,
            tokens,
            (inputs, examples.lengths),
            (targets, examples.target_lengths),
            examples.in_row,
            **more,
        )

    def examples(self, samples: np.ndarray) -> Examples:
        """Finds the examples of samples [B]."""
        samples = np.asarray(samples, np.int64)
        corpus, number = self._assign(samples)
        if len(self.corpora) == 1:
            found = self.corpora[0].locate(number)
            return Examples(corpus, found.epoch, found.in_row, *found[2:])
        epoch, in_row = np.zeros_like(samples), np.zeros_like(samples)
        members = [np.flatnonzero(corpus == c) for c in range(len(self.corpora))]
        located = {
            c: self.corpora[c].locate(number[rows]) for c, rows in enumerate(members) if len(rows)
        }
        for c, found in located.items():
            epoch[members[c]], in_row[members[c]] = found.epoch, found.in_row
        first = np.cumsum(in_row) - in_row
        starts, lengths, luck, *others = np.empty((7, int(in_row.sum())), np.int64)
        for c, found in located.items():
            ends = np.cumsum(found.in_row)
            to = np.arange(len(found.starts))
            to += np.repeat(first[members[c]] - (ends - found.in_row), found.in_row)
            starts[to], lengths[to] = found.starts, found.lengths
            luck[to] = found.number + (c << CORPUS_BIT)
            for whole, part in zip(others, found[5:], strict=True):
                whole[to] = part
        return Examples(corpus, epoch, in_row, starts, lengths, luck, *others)

    def _assign(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.order != "streams" or len(self.corpora) == 1:
            return mixture.assign(self.tree, samples)
        # Rows of the batch belong to corpora for good, by the mixture's shares.
        size = self.pieces[0][1]
        step, row = np.divmod(samples, size)
        corpus, lane = mixture.assign(self.tree, np.arange(size))
        lanes = np.bincount(corpus, minlength=len(self.corpora))
        return corpus[row], step * lanes[corpus[row]] + lane[row]

    def _read(
        self, corpus: np.ndarray, places: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Reads `lengths` [N] tokens at `places` of the corpora's stores.

        Returns (tokens, flat; where each begins in them, or anything for one of no tokens).
        """
        longest = int(lengths.max(initial=1))
        step = -(-longest // _READ_CLASSES)
        kind = np.where(lengths > 0, corpus * _READ_CLASSES + (lengths - 1) // step, -1)
        starts = np.zeros_like(places)
        blocks, size = [], 0
        marks = {"marks": True} if self.objective.takes_token_marks else {}
        for one in np.unique(kind[kind >= 0]).tolist():
            which = np.flatnonzero(kind == one)
            store = self.stores[one // _READ_CLASSES]
            length = min(longest, (one % _READ_CLASSES + 1) * step, store.num_tokens)
            # A read of whole classes must not run over the end of the store.
            begin = np.minimum(places[which], store.num_tokens - length)
            block = store.read(begin, length, **marks)
            starts[which] = size + np.arange(len(which)) * length + places[which] - begin
            blocks.append(block.reshape(-1))
            size += block.size
        if len(blocks) == 1:
            return blocks[0], starts
        return np.concatenate(blocks) if blocks else np.zeros(0, np.int32), starts


def _interleaved(first: np.ndarray, those: dict, others: dict) -> dict:
    """Puts two batches together: those in the rows that are `first` (bool [B]), others in the rest."""

    def join(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        joined = np.empty((len(first), *a.shape[1:]), a.dtype)
        joined[first], joined[~first] = a, b
        return joined

    def together(one, another):
        if isinstance(one, dict):
            return {name: together(part, another[name]) for name, part in one.items()}
        return join(one, another)

    return together(those, others)


def always_full(data: Data, objective: Objective) -> bool:
    """Whether batches of a run have neither padding nor packing, in training and held-out."""
    tasks = any(corpus.is_task for corpus in (*data.train.corpora, *data.evaluation))
    fills = implementation(objective).always_full(objective)
    return data.order != "packed" and fills and not tasks


def training_samples(
    data: Data,
    stores: Sequence,
    objective: Objective,
    vocabulary,
    seed: int,
    pieces: Pieces | None = None,
    cache: str | None = None,
) -> Samples:
    """Builds a run's samples from the token stores of data.train.corpora.

    pieces: the batch schedule, where it is not simply data's own (a resumed run). cache: a local
    folder that keeps packing plans; None: data.cache_dir, "": none is kept. Raises UserError where
    a corpus is too small for a row or for the mixture.
    """
    pieces = pieces or data.pieces()
    corpora = data.train.corpora
    names = tuple(corpus.name for corpus in corpora)
    pairs = list(zip(stores, corpora, strict=True))
    lanes = [0] * len(corpora)
    if data.order == "streams":
        tree = mixture.split_tree(names, _shares(data, stores, []))
        rows = mixture.assign(tree, np.arange(pieces[0][1]))[0]
        lanes = np.bincount(rows, minlength=len(corpora)).tolist()
    cut = [
        rows_of(corpus, store, objective, data, seed, cache, lanes=n)
        for (store, corpus), n in zip(pairs, lanes, strict=True)
    ]
    tree = mixture.split_tree(names, _shares(data, stores, cut))
    documents = tuple(
        corpus_rows.token_range(store, corpus.documents)[:2] for store, corpus in pairs
    )
    markers = ()
    if objective.takes_markers:
        markers = tuple(map(marker_places, stores, documents, [vocabulary] * len(stores)))
        if not any(len(places.at) for places in markers):
            raise UserError(
                f"corpus {names[0]!r}: no sentence begins with one of config.objective.markers; name those "
                "of its language, or leave discourse out of config.objective.stages"
            )
    return Samples(
        names,
        tuple(stores),
        tuple(cut),
        documents,
        tree,
        data.order,
        pieces,
        objective,
        vocabulary,
        seed,
        "train",
        always_full(data, objective),
        augmentation=data.augmentation,
        markers=markers,
    )


def _shares(data: Data, stores: Sequence, cut: Sequence[CorpusRows]) -> np.ndarray:
    """Returns the share of each training corpus in the rows; see config.Mixture.

    cut: the corpora's rows, where any of them is of pairs.
    """
    corpora, weighting = data.train.corpora, data.train.weighting
    factors = [corpus.rate for corpus in corpora]
    if weighting != "rate" and any(rows.paired for rows in cut):
        # In examples, as T5's; a row of a task that packs ten of them then counts as ten.
        sizes = [len(rows.pairs) if rows.paired else rows.rows for rows in cut]
        factors = [f * rows.rows / size for f, rows, size in zip(factors, cut, sizes, strict=True)]
    else:
        ranges = map(corpus_rows.token_range, stores, (corpus.documents for corpus in corpora))
        sizes = [end - begin for _, _, begin, end in ranges]
    return mixture.rates(
        [corpus.name for corpus in corpora],
        factors,
        sizes,
        weighting,
        data.train.temperature,
        data.train.maximum,
        data.train.budget,
        data.train.epochs,
    )


def evaluation_samples(
    data: Data,
    stores: Sequence,
    objective: Objective,
    vocabulary,
    seed: int,
    cache: str | None = None,
) -> dict[str, Samples]:
    """Builds the samples of each held-out corpus: every row once, in order, always the same.

    The last batch is filled up with empty rows, whose weights are 0.
    """
    size = data.evaluation_batch_size or data.batch_size
    result = {}
    for store, corpus in zip(stores, data.evaluation, strict=True):
        rows = rows_of(corpus, store, objective, data, seed, cache, once=True)
        batches = -(-rows.rows // size)
        if data.order == "streams":
            rows = corpus_rows.OnceInLanes(rows, size, batches)
        documents = corpus_rows.token_range(store, corpus.documents)[:2]
        markers = ()
        if objective.takes_markers:
            markers = (marker_places(store, documents, vocabulary),)
        result[corpus.name] = Samples(
            (corpus.name,),
            (store,),
            (rows,),
            (documents,),
            mixture.split_tree((corpus.name,), (1.0,)),
            data.order,
            ((0, size),),
            objective,
            vocabulary,
            seed,
            f"evaluation/{corpus.name}",
            always_full(data, objective),
            batches,
            markers=markers,
        )
    return result
