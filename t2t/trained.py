"""The Run behind a path, wherever a trained model is taken: a run of ours, or published weights."""

import dataclasses
import os
import sys

from t2t import recipes
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Task
from t2t.data.tokenizer_config import Bytes, Tokenizer
from t2t.data.tokenizers import load
from t2t.data.vocabulary import Vocabulary
from t2t.errors import UserError
from t2t.models.architecture import Architecture
from t2t.objectives.classes_config import Classes
from t2t.objectives.config import CausalLM
from t2t.objectives.extractive_config import for_positions
from t2t.objectives.masking_config import MaskedLM
from t2t.run import Run, check_vocabulary, load_saved


def load_trained(path: str, begins: bool = False, tokenizer: str = "") -> Run:
    """Returns the Run of a run's directory, or one made for a Hugging Face directory or T5X's.

    begins: whether it is only to begin another training: it needs no head. tokenizer: the vocabulary of
    published weights that hold none (huggingface_tokenizer.named).
    Raises: UserError where it holds none of them, weights without a tokenizer, or without a head.
    """
    if os.path.exists(path):
        from t2t.interop.huggingface_tokenizer import named
        from t2t.interop.opening import check_head, is_published, open_published

        if is_published(path):
            found = open_published(path)
            if not begins:
                check_head(found)
            theirs = named(tokenizer, found.family) if tokenizer else found.tokenizer
            vocabulary = None if theirs is None else load(theirs).vocabulary
            if not found.family:  # T5X's
                print(
                    f"{path}: its activation is taken to be {found.arch.activation}, which T5X's files do "
                    "not say; another (UL2's): t2t convert --family=ul2",
                    file=sys.stderr,
                )
            return published_run(found.arch, theirs, vocabulary, path, found.labels)
    run = load_saved(path)
    if run is not None and tokenizer:
        raise UserError(f"--tokenizer={tokenizer}: {path} is a run, which has its own vocabulary")
    if run is None:
        raise UserError(
            f"--workdir={path}: holds no run (no config.json) and no weights that t2t reads "
            "(Hugging Face, T5X)"
        )
    return run


def published_run(
    arch: Architecture,
    tokenizer: Tokenizer | None,
    vocabulary: Vocabulary | None,
    path: str,
    labels: tuple[str, ...] = (),
) -> Run:
    """Returns the recipe of the model's kin with this model and tokenizer in it; labels: a classifier's.

    What no weights tell (data, optimizer, schedule) is the recipe's: nothing that only uses the
    model reads it. Raises: UserError where there is no tokenizer, or it does not fit.
    """
    if tokenizer is None:
        raise UserError(
            f"{path}: holds no tokenizer that t2t reads (spiece.model, tokenizer.json, vocab.txt, "
            "vocab.json, or ByT5's); name one by --tokenizer=FILE-OR-FOLDER"
        )
    run = recipes.get_config(_recipe(arch, tokenizer), Run)
    run = dataclasses.replace(run, model=arch, tokenizer=tokenizer)
    if labels:
        data = Data(train=Mixture((Corpus("sst2", Task("glue_sst2")),)))
        length = min(Classes.length, arch.positions or Classes.length)
        run = dataclasses.replace(run, objective=Classes(labels, length, plain=True), data=data)
    elif arch.token_classes == 2:
        data = Data(train=Mixture((Corpus("squad", Task("squad")),)))
        run = dataclasses.replace(run, objective=for_positions(arch.positions), data=data)
    elif not (arch.encoder_layers and arch.decoder_layers):
        run = dataclasses.replace(run, objective=_objective(run.objective, arch))
    check_vocabulary(run, vocabulary)
    return run


def _recipe(arch: Architecture, tokenizer: Tokenizer) -> str:
    """The recipe of a model's kin."""
    if not arch.encoder_layers:
        return "llama:7b" if arch.rotary_base else "gpt2:small"
    if not arch.decoder_layers:
        return "bert:base"
    if isinstance(tokenizer, Bytes):
        return "byt5:small"
    if arch.relative_bias == "per_layer":
        return "umt5:small"
    return "t5_1_1:small" if arch.gated else "t5_1_0:small"


def _objective(recipe: CausalLM | MaskedLM, arch: Architecture) -> CausalLM | MaskedLM:
    """The recipe's objective, as far as the model's positions and heads go."""
    room = arch.learned_positions - arch.first_position
    length = min(recipe.length, room) if arch.learned_positions else recipe.length
    if isinstance(recipe, CausalLM):
        return dataclasses.replace(recipe, length=length)
    paired = min(arch.token_types, arch.pair_classes) > 1
    pairs = recipe.pairs if paired else "none"
    return dataclasses.replace(recipe, length=length, predictions=None, pairs=pairs)
