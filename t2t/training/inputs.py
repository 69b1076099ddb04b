"""A run's inputs from its configuration: tokenizer, token stores, training and held-out samples."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from t2t.data import prepare, source_config, tokenizers
from t2t.data.batches import Samples, evaluation_samples, training_samples
from t2t.data.corpus_rows import CorpusRows
from t2t.data.marker_places import MarkerPlaces
from t2t.data.pairs import Pairs
from t2t.data.storage import locked
from t2t.data.token_counts import token_counts
from t2t.data.tokenizer_config import RunTokenizer, Trained
from t2t.data.tokenizer_files import kept
from t2t.data.vocabulary import piece_marks
from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.monitoring.compile_cache import cache_root
from t2t.objectives.classes import with_labels
from t2t.objectives.classes_config import Classified
from t2t.objectives.config import Cloze, ExtractiveSpans
from t2t.objectives.discourse_markers import spellings
from t2t.objectives.implementations import Headed, headed, labels_of, plain_texts
from t2t.tasks.pairs import open_pairs, open_readings, task_of
from t2t.tasks.posing import before_answer
from t2t.training.checkpoint_reading import steps_in


class Inputs(NamedTuple):
    """Everything that makes batches."""

    tokenizer: tokenizers.Tokenizer
    train: Samples
    heldout: dict[str, Samples]

    def _all(self) -> list[tuple[str, Samples]]:
        return [("train", self.train), *(("eval", samples) for samples in self.heldout.values())]

    def corpora(self) -> Iterator[tuple[str, str, CorpusRows]]:
        """Yields (`train` or `eval`, name, rows) of each corpus."""
        for kind, samples in self._all():
            for name, rows in zip(samples.names, samples.corpora, strict=True):
                yield kind, name, rows

    def markers(self) -> Iterator[tuple[str, str, MarkerPlaces]]:
        """As `corpora`, where each one's discourse markers are, if the objective takes them."""
        for kind, samples in self._all():
            for name, places in zip(samples.names, samples.markers, strict=bool(samples.markers)):
                yield kind, name, places

    def describe(self) -> list[str]:
        """Returns a line for the vocabulary and one for each corpus."""
        vocabulary = self.tokenizer.vocabulary
        lines = [f"vocabulary: {vocabulary.size:,} ids, fingerprint {vocabulary.fingerprint}"]
        for kind, samples in self._all():
            for name, store in zip(samples.names, samples.stores, strict=True):
                lines.append(f"{kind}/{name}: {store.describe()}, fingerprint {store.fingerprint}")
        return lines


def cache_folder(run) -> str:
    """Returns where token stores, plans and trained vocabularies are kept."""
    return run.data.cache_dir or os.path.join(cache_root(), "data")


def open_inputs(
    run,
    say: Callable[[str], None],
    workers: int | None = None,
    check: Callable | None = None,
    workdir: str = "",
) -> Inputs:
    """Opens (training or preparing what is missing) the tokenizer and every corpus of a run.

    check(vocabulary) is called before anything long is prepared. workdir: see `open_tokenizer`.
    Raises: UserError naming the corpus, file and place of what cannot be used.
    """
    tokenizer = open_tokenizer(run, say, workdir)
    if check is not None:
        check(tokenizer.vocabulary)
    stores: dict = {}
    before, asked = before_answer(run.model.stacks)[1], run.posed
    head, labels = headed(run.objective), labels_of(run.objective)
    plain = plain_texts(run.objective)

    def store(corpus):
        if corpus.source not in stores:
            stores[corpus.source] = prepare.ensure(
                cache_folder(run),
                opened(corpus.source, before, head, plain),
                tokenizer,
                workers=workers,
            )
        pairs_beside_text = corpus.is_task and bool(labels)
        marked = stores[corpus.source].marked or pairs_beside_text
        if run.objective.takes_token_marks and not marked:
            raise UserError(
                f"corpus {corpus.name!r}: was prepared without spans, which config.objective "
                "takes; prepare the text again from Jsonl(spans=...)"
            )
        return stores[corpus.source]

    train = [store(c) for c in run.data.train.corpora]
    heldout = [store(c) for c in run.data.evaluation]
    vocabulary = tokenizer.vocabulary
    if run.objective.takes_marks:
        marks = piece_marks(tokenizer.pieces(range(vocabulary.size)), vocabulary)
        vocabulary = dataclasses.replace(vocabulary, marks=marks)
    if run.objective.takes_counts:
        counts = token_counts(train, vocabulary.size)
        vocabulary = dataclasses.replace(vocabulary, counts=counts)
    if labels:
        spelled = tokenizer.encode([before + label for label in labels])
        vocabulary = with_labels(vocabulary, labels, spelled)
    if run.objective.takes_markers:
        markers = spellings(tokenizer, run.objective.markers)
        vocabulary = dataclasses.replace(vocabulary, markers=markers)
    if isinstance(asked, Classified):
        asked = dataclasses.replace(asked, separators=vocabulary.separators)
    if isinstance(asked, Cloze):
        _tell_lengths(run, tokenizer, before, say)
    arguments = (asked, vocabulary, run.training.seed)
    kept = {"cache": cache_folder(run)}
    inputs = Inputs(
        tokenizer,
        training_samples(run.data, train, *arguments, **kept),
        evaluation_samples(run.data, heldout, *arguments, **kept),
    )
    for kind, name, rows in inputs.corpora():
        if rows.paired:
            rows.pairs.check_spelling(name, tokenizer.vocabulary.unk_id)
        if rows.paired or run.data.order == "packed":
            say(f"{kind}/{name}: {rows.describe()}")
    for kind, name, places in inputs.markers():
        say(f"{kind}/{name}: {places.describe()}")
    return inputs


def _tell_lengths(run, tokenizer, before: str, say: Callable[[str], None]) -> None:
    """Says of which tasks the number of masks tells the label (t2t.objectives.cloze)."""
    for corpus in run.data.train.corpora:
        labels = task_of(corpus.source).labels if corpus.is_task else ()
        lengths = [len(ids) for ids in tokenizer.encode([before + label for label in labels])]
        if len(set(lengths)) > 1:
            told = ", ".join(f"{name} {n}" for name, n in zip(labels, lengths, strict=True))
            say(
                f"train/{corpus.name}: its labels differ in tokens ({told}), and the number of masks "
                "tells them apart in training; Classes (config.objective) reads the input"
            )


def source_of(run) -> str:
    """Returns the path of the model that a run begins with, or of its teacher; "": neither is there."""
    begun = getattr(run.initial, "path", "")
    return begun or ("" if run.teacher is None else run.teacher.source.path)


def opened(
    source: source_config.Source, before: str = "", head: Headed | None = None, plain: bool = False
) -> source_config.Source | Pairs:
    """Opens a task, which the data room cannot: tasks are made of its readers. `before` stands before
    each of its targets; head: what answers it, where that is not words; plain: as `open_pairs`."""
    if not isinstance(source, source_config.Task):
        return source
    if isinstance(head, ExtractiveSpans):
        return open_readings(source)
    return open_pairs(source, before, plain)


def open_tokenizer(run, say: Callable[[str], None], workdir: str = "") -> tokenizers.Tokenizer:
    """Loads the vocabulary; one to be trained is trained on the training corpora, once, and kept.

    workdir: a run's directory; where it holds a checkpoint its own copy is the vocabulary.
    """
    own = kept(workdir) if workdir and steps_in(f"{workdir}/checkpoints") else None
    if own is not None:
        return own
    if isinstance(run.tokenizer, RunTokenizer):
        path = run.tokenizer.path or source_of(run)
        if huggingface.is_directory(path):
            config = huggingface.tokenizer_of(path)
            theirs = None if config is None else tokenizers.load(config)
        else:
            theirs = kept(path)
        if theirs is None:
            raise UserError(
                f"{path}: holds no vocabulary (tokenizer.json of a run; spiece.model, "
                "tokenizer.json, vocab.txt or ByT5's of a Hugging Face directory)"
            )
        return theirs
    if not isinstance(run.tokenizer, Trained):
        return tokenizers.load(run.tokenizer)
    from t2t.data import tokenizer_training

    sources = tuple(opened(corpus.source) for corpus in run.data.train.corpora)
    path = tokenizer_training.trained_path(cache_folder(run), run.tokenizer, sources)
    if not os.path.exists(path):
        with locked(os.path.dirname(path)):  # of processes that start together one trains it
            if not os.path.exists(path):
                say(f"training a vocabulary of {run.tokenizer.vocabulary_size:,} pieces")
                tokenizer_training.train_on(run.tokenizer, sources, path)
    return tokenizers.load(run.tokenizer, path)
