"""What must hold between a run's objective and its model, corpora, vocabulary and evaluation.

Part of `t2t.run.check`: nothing else sees all of these rooms.
"""

from t2t.data.config import Corpus
from t2t.data.source_config import Prepared
from t2t.data.subword_training import BYTE_BPE_SPECIAL, WORDPIECE_SPECIAL
from t2t.data.tokenizer_config import Tokenizer, TrainedSentencePiece, TrainedSubwords
from t2t.data.tokenizers import load as load_tokenizer
from t2t.data.vocabulary import EOS, Vocabulary, roles
from t2t.errors import UserError
from t2t.objectives import ernie_tasks
from t2t.objectives.config import (
    ANY,
    DECODER,
    ENCODER,
    ENCODER_DECODER,
    Classes,
    ErnieTasks,
    ExtractiveSpans,
    PermutationLM,
    TextToText,
)
from t2t.objectives.implementations import Headed, implementation
from t2t.objectives.masking_config import MaskedLM
from t2t.training.teacher_checks import check_teacher

_FOR_TEXT = {ENCODER_DECODER: "SpanCorruption", DECODER: "CausalLM", ENCODER: "MaskedLM"}


def check_objective(run, trains: bool = True) -> None:
    """Checks that the objective is given what it takes: the stacks, and pairs of a task or text.

    trains: whether the run is to be trained; one that was converted may be a discriminator alone.
    Raises: UserError naming what does not go together.
    """
    kind, all_tasks = type(run.objective).__name__, True
    stacks = run.model.stacks
    if run.objective.suits not in (stacks, ANY):
        raise UserError(
            f"config.objective: {kind} is for {run.objective.suits}, and config.model is {stacks} "
            f"({run.model.encoder_layers} encoder and {run.model.decoder_layers} decoder layers)"
        )
    if (
        isinstance(run.objective, MaskedLM)
        and run.objective.static_copies
        and run.data.order != "packed"
    ):
        raise UserError(
            "config.objective.static_copies: masks come again where examples do, with "
            f"config.data.order='packed', not {run.data.order!r}"
        )
    if getattr(run.objective, "pairs", "") == "dialogue" and run.data.order != "packed":
        raise UserError(
            "config.objective.pairs: 'dialogue' has a dialogue a document, which rows cut from all text "
            f"would run into each other; take config.data.order='packed', not {run.data.order!r}"
        )
    inputs, targets = implementation(run.posed).lengths(run.posed)
    longest = targets if stacks == DECODER else inputs
    room = run.model.learned_positions - run.model.first_position
    if 0 < room < longest:
        raise UserError(
            f"config.model.learned_positions: {room} are fewer than the "
            f"{longest} tokens of a row (config.objective)"
        )
    if isinstance(run.objective, MaskedLM) and run.objective.pairs != "none":
        for key in ("token_types", "pair_classes"):
            if getattr(run.model, key) < 2:
                raise UserError(
                    f"config.model.{key}: {getattr(run.model, key)}, and pairs of segments "
                    f"({run.objective.pairs}, config.objective) need 2"
                )
    if isinstance(run.objective, ErnieTasks):
        ernie_tasks.check_model(run.objective, run.model)
    _check_spans(run)
    if isinstance(run.objective, PermutationLM):
        _check_permutation(run)
    if isinstance(run.objective, ExtractiveSpans):
        _check_extractive(run)
    elif isinstance(run.objective, Classes):
        _check_classes(run)
    elif trains or run.generator is not None:
        _check_generator(run, kind)
    check_teacher(run)
    for key, given in (("examples", run.evaluation.examples), ("tasks", run.evaluation.tasks)):
        tells = isinstance(run.objective, Headed)
        if given and run.model.head == "replaced" and not tells:
            raise UserError(
                f"config.evaluation.{key}: the model tells replaced tokens (config.model.head), not "
                "the words of an answer"
            )
    for key, corpora in all_corpora(run):
        for i, corpus in enumerate(corpora):
            all_tasks &= corpus.is_task
            alone = isinstance(run.objective, PermutationLM) or (
                isinstance(run.objective, MaskedLM) and run.objective.pairs != "none"
            )
            if corpus.is_task and alone:
                raise UserError(
                    f"config.data.{key}[{i}]: {corpus.name!r} is a task, which does not stand beside "
                    f"text of {kind} with its pairs or ranks; take TextToText (config.objective)"
                )
            # A prepared store is not open yet: it will say what it holds.
            if isinstance(run.objective, ExtractiveSpans) and not corpus.is_task:
                raise UserError(
                    f"config.data.{key}[{i}]: {corpus.name!r} is no task, and ExtractiveSpans "
                    "(config.objective) takes questions with their contexts; take Task('squad')"
                )
            if isinstance(run.objective, TextToText | Classes) and not (
                corpus.is_task or isinstance(corpus.source, Prepared)
            ):
                raise UserError(
                    f"config.data.{key}[{i}]: {corpus.name!r} is running text, and {kind} "
                    f"(config.objective) takes the pairs of tasks; take {_FOR_TEXT[stacks]}, under "
                    "which text and tasks may stand side by side"
                )
    if all_tasks and not isinstance(run.objective, TextToText | Headed):
        raise UserError(
            f"config.objective: {kind} is for running text, and every corpus is a task; "
            "take TextToText"
        )


def _check_extractive(run) -> None:
    """Checks that a model has a logit for a start and one for an end, and rows one window each."""
    if run.model.token_classes != 2:
        raise UserError(
            f"config.model.token_classes: {run.model.token_classes}, and ExtractiveSpans "
            "(config.objective) needs 2, a start and an end; a head that the initial model lacks is drawn"
        )
    if run.data.order != "shuffled":
        raise UserError(
            f"config.data.order: {run.data.order!r}, and ExtractiveSpans (config.objective) has one "
            "window a row; take 'shuffled'"
        )
    for key, given in (
        ("config.training.label_smoothing", run.training.label_smoothing),
        ("config.generator", run.generator),
    ):
        if given:
            raise UserError(f"{key}: is not for ExtractiveSpans (config.objective); leave it out")


def _check_classes(run) -> None:
    """Checks that a model has a logit for each label."""
    if run.model.pair_classes != len(run.objective.labels):
        raise UserError(
            f"config.model.pair_classes: {run.model.pair_classes}, and Classes (config.objective) has "
            f"{len(run.objective.labels)} labels; set it to that, a classifier that the initial model "
            "lacks is drawn"
        )
    if run.generator is not None:
        raise UserError("config.generator: is not for Classes (config.objective); leave it out")


def _check_spans(run) -> None:
    """Checks that units of external spans have text with spans."""
    if not run.objective.takes_segments:
        return
    for key, corpora in all_corpora(run):
        for i, corpus in enumerate(corpora):
            if corpus.is_task and isinstance(run.objective, ErnieTasks):
                if not run.objective.relevance:
                    raise UserError(
                        f"config.data.{key}[{i}]: {corpus.name!r} is a task; name the labels of its pairs "
                        "of texts in config.objective.relevance"
                    )
                continue
            # A prepared store says what it holds when it is opened.
            if not isinstance(corpus.source, Prepared) and not getattr(corpus.source, "spans", ""):
                raise UserError(
                    f"config.data.{key}[{i}].source: has no spans, which ExternalSpans, dialogues and "
                    "ErnieTasks (config.objective) take; name their field, Jsonl(spans=...)"
                )


def _check_permutation(run) -> None:
    """Checks that there are queries of a permuted text, and that rows follow what they remember."""
    if not run.model.relative_attention:
        raise UserError(
            "config.objective: PermutationLM predicts from XLNet's queries, and "
            "config.model.relative_attention is False"
        )
    if run.objective.both_ways and run.data.order != "streams":
        raise UserError(
            "config.objective.both_ways: half of the streams are read from their end, and "
            f"config.data.order is {run.data.order!r}, not 'streams'"
        )
    if not run.objective.memory:
        return
    if run.data.order != "streams":
        raise UserError(
            f"config.objective.memory: {run.objective.memory} tokens before a row are remembered, "
            f"which needs config.data.order='streams', not {run.data.order!r}"
        )
    if run.training.repeat_samples:
        raise UserError(
            f"config.training.repeat_samples: {run.training.repeat_samples}, and a row that comes again "
            "would remember itself (config.objective.memory)"
        )
    if (run.data.evaluation_batch_size or run.data.batch_size) != run.data.batch_size:
        raise UserError(
            f"config.data.evaluation_batch_size: {run.data.evaluation_batch_size} rows, and the memory "
            f"(config.objective.memory) is of the {run.data.batch_size} of config.data.batch_size"
        )


def _check_generator(run, kind: str) -> None:
    """Checks that a model that tells replaced tokens has one that writes them, with its embedding."""
    generator, objective = run.generator, run.objective
    if generator is None:
        if run.model.head == "replaced" and isinstance(objective, TextToText):
            raise UserError(
                "config.model.head: 'replaced' tells no words, and TextToText (config.objective) "
                "asks for those at masks; take Classes, or a model with head='masked'"
            )
        if run.model.head == "replaced":
            raise UserError(
                f"config.model.head: 'replaced' tells no tokens, which {kind} asks for; "
                "config.generator names the network that writes them"
            )
        return
    if run.model.head != "replaced" or not isinstance(objective, MaskedLM):
        raise UserError(
            "config.generator: writes tokens for a model with head='replaced' under MaskedLM, and "
            f"config.model.head is {run.model.head!r}, config.objective {kind}"
        )
    if generator.head != "masked" or generator.stacks != ENCODER:
        raise UserError("config.generator: must be an encoder alone with head='masked'")
    if objective.pairs != "none":
        raise UserError(f"config.objective.pairs: {objective.pairs!r} is not for a generator")
    for key in (
        "vocab_size",
        "embedding_width",
        "learned_positions",
        "first_position",
        "token_types",
        "embedding_norm",
    ):
        ours, theirs = getattr(run.model, key), getattr(generator, key)
        if ours != theirs:
            raise UserError(
                f"config.generator.{key}: {theirs}, and config.model.{key} is {ours}; both embed "
                "tokens with the same tables"
            )
    for key, given in (
        ("lora", run.training.lora is not None),
        ("layer_decay", run.training.layer_decay < 1),
    ):
        if given:
            raise UserError(f"config.training.{key}: is not for a model with a generator")


def all_corpora(run) -> tuple[tuple[str, tuple[Corpus, ...]], ...]:
    """Returns every corpus under its key in config.data."""
    return ("train.corpora", run.data.train.corpora), ("evaluation", run.data.evaluation)


def known_vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """Returns the facts of a vocabulary that is in no file: bytes, or one still to be trained."""
    if not isinstance(tokenizer, TrainedSentencePiece | TrainedSubwords):
        return load_tokenizer(tokenizer).vocabulary
    size = tokenizer.vocabulary_size + tokenizer.extra_ids
    sentinels = tuple(range(size - tokenizer.extra_ids, size))
    if isinstance(tokenizer, TrainedSentencePiece):
        named = {name: size + i for i, name in enumerate(tokenizer.named)}
        who = roles({"</s>": EOS, **named})
        return Vocabulary(size + len(named), sentinels, "", named=tuple(named.items()), **who)
    names = WORDPIECE_SPECIAL if tokenizer.kind == "wordpiece" else BYTE_BPE_SPECIAL
    return Vocabulary(size, sentinels, "", **roles({name: i for i, name in enumerate(names)}))


def check_vocabulary(run, vocabulary: Vocabulary) -> None:
    """Checks a vocabulary against the model's embedding table and the objective.

    Raises: UserError naming both sizes, or that the objective needs more sentinels than there are.
    """
    if vocabulary.size > run.model.vocab_size:
        raise UserError(
            f"config.model.vocab_size: {run.model.vocab_size} rows are too few for the vocabulary of "
            f"{vocabulary.size} (config.tokenizer); use at least {-(-vocabulary.size // 128) * 128}"
        )
    implementation(run.posed).check_vocabulary(run.posed, vocabulary, "config.objective")
