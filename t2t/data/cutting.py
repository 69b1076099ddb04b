"""From a corpus's token store to the rows that it gives a run: by the run's order and objective."""

import numpy as np

from t2t.data import corpus_rows, packing, pair_packing
from t2t.data.config import Corpus, Data
from t2t.data.corpus_rows import CorpusRows
from t2t.data.pair_rows import PairRows, Pairs
from t2t.data.text_rows import TextPairs
from t2t.data.token_store import TEXT_PAIRS, TEXTS
from t2t.data.window_rows import WindowedPairs
from t2t.errors import UserError
from t2t.objectives.classes_config import Classified
from t2t.objectives.config import ExtractiveSpans, Objective
from t2t.objectives.ernie_config import Relevance
from t2t.objectives.implementations import (
    Posed,
    implementation,
    of_pairs,
    stride_of,
)


def rows_of(
    corpus: Corpus,
    store,
    objective: Objective,
    data: Data,
    seed: int,
    cache: str | None,
    lanes: int = 0,
    once: bool = False,
) -> CorpusRows:
    """Cuts a corpus into rows, in the order of `data`; `once`: as held-out text.

    lanes: rows of a batch that are the corpus's for good, where order is 'streams'.
    Raises UserError where it is too small for that, or not what the objective takes.
    """
    if store.kind != TEXTS:
        if not corpus.is_task and not isinstance(objective, Posed):
            raise UserError(
                f"corpus {corpus.name!r}: {store.path} holds the pairs of a task; beside running "
                "text a task is given as such: Task(name, ...)"
            )
        return _pair_rows(corpus, store, of_pairs(objective), data, seed, cache, once)
    if isinstance(objective, Posed):
        raise UserError(
            f"corpus {corpus.name!r}: {type(objective).__name__} takes pairs of a task, and this is "
            "running text"
        )
    implemented = implementation(objective)
    length = implemented.raw_length(objective)
    first, last, begin, end = corpus_rows.token_range(store, corpus.documents)
    corpus_rows.check_size(corpus.name, end - begin, length)
    if objective.takes_other_text and last - first < 2:
        raise UserError(
            f"corpus {corpus.name!r}: {type(objective).__name__} takes text of another document, and this "
            f"has {last - first}; give it more documents, or of MaskedLM pairs='sentence_order'"
        )
    if data.order == "packed":
        table = implemented.lengths_for(objective, np.arange(length + 1))
        capacity = implemented.lengths(objective)
        plan = packing.cached_plan(
            data.cache_dir if cache is None else cache,
            packing.plan_fingerprint(store.fingerprint, (first, last), table, capacity, seed),
            lambda: packing.make_plan(store.offsets[first : last + 1], table, capacity, seed),
        )
        if len(plan.rows) < 2:
            raise UserError(f"corpus {corpus.name!r}: no document has two tokens or more")
        return corpus_rows.Packed(plan, seed, corpus.name, once)
    stride = stride_of(objective) if data.order == "streams" else length
    if once:
        return corpus_rows.Fixed(begin, end, length, stride)
    if data.order == "streams":
        if lanes == 0:
            raise UserError(
                f"corpus {corpus.name!r}: its share of the {data.batch_size} rows of a batch is "
                "none; raise its rate or the batch size, or remove it"
            )
        if end - begin < lanes * length:
            raise UserError(
                f"corpus {corpus.name!r}: {end - begin} tokens are fewer than one row of {length} "
                f"for each of its {lanes} streams; give more text or a smaller batch"
            )
        if not objective.both_ways:
            return corpus_rows.Streams(begin, end, length, lanes, stride)
        if lanes % 2:
            raise UserError(
                f"corpus {corpus.name!r}: half of its {lanes} rows of a batch are read backwards "
                "(config.objective.both_ways); give it an even share (config.data.batch_size)"
            )
        forward = corpus_rows.Streams(begin, end, length, lanes // 2, stride)
        return corpus_rows.BothWays(forward)
    return corpus_rows.Shuffled(begin, end, length, seed, corpus.name)


def _pair_rows(
    corpus: Corpus,
    store,
    objective: Posed,
    data: Data,
    seed: int,
    cache: str | None,
    once: bool,
) -> PairRows:
    if isinstance(objective, Relevance) and store.kind != TEXT_PAIRS:
        raise UserError(
            f"corpus {corpus.name!r}: an example has one text, and relevance (config.objective) takes a query "
            "and a title; name both in the task's `texts`"
        )
    if store.kind == TEXT_PAIRS and not objective.takes_two_texts:
        raise UserError(
            f"corpus {corpus.name!r}: {store.path} holds inputs that are two texts each, which Classes "
            "with plain=True takes (config.objective)"
        )
    count = store.num_documents // store.unit
    first, last = (int(share * count) for share in corpus.documents)
    if first == last:
        raise UserError(f"corpus {corpus.name!r}: no example in the part {corpus.documents} of it")
    kinds = {ExtractiveSpans: WindowedPairs, Classified: TextPairs, Relevance: TextPairs}
    pairs = kinds.get(type(objective), Pairs)(store, first, last, objective)
    capacity = implementation(objective).lengths(objective)
    if data.order != "packed":
        plan = pair_packing.one_a_row(pairs.sizes(), capacity)
    else:
        # In the plan's name: objectives of one capacity frame the same texts in more tokens or fewer.
        sizes = pairs.sizes()
        plan = packing.cached_plan(
            data.cache_dir if cache is None else cache,
            packing.plan_fingerprint(store.fingerprint, (first, last), sizes.T, capacity, seed),
            lambda: pair_packing.make_plan(sizes, capacity, seed),
            pair_packing.PairPlan,
        )
    return PairRows(pairs, plan, seed, corpus.name, once)
