"""The Run behind a path, wherever a trained model is taken: a run of ours, or published weights."""

import dataclasses
import os

from t2t import recipes
from t2t.data.tokenizer_config import Bytes, Tokenizer
from t2t.data.tokenizers import load
from t2t.data.vocabulary import Vocabulary
from t2t.errors import UserError
from t2t.models.architecture import Architecture
from t2t.run import Run, check_vocabulary, load_saved


def load_trained(path: str) -> Run:
    """Returns the Run of a run's directory, or one made for a Hugging Face directory or T5X's.

    Raises: UserError where it holds none of them, or weights without a tokenizer.
    """
    if os.path.exists(path):
        from t2t.interop.opening import is_published, open_published

        if is_published(path):
            found = open_published(path)
            vocabulary = None if found.tokenizer is None else load(found.tokenizer).vocabulary
            return published_run(found.arch, found.tokenizer, vocabulary, path)
    run = load_saved(path)
    if run is None:
        raise UserError(
            f"--workdir={path}: holds no run (no config.json) and no weights that t2t reads "
            "(Hugging Face, T5X)"
        )
    return run


def published_run(
    arch: Architecture, tokenizer: Tokenizer | None, vocabulary: Vocabulary | None, path: str
) -> Run:
    """Returns the recipe of the model's kin with this model and tokenizer in it.

    What no weights tell (data, optimizer, schedule) is the recipe's: nothing that only uses the
    model reads it. Raises: UserError where there is no tokenizer, or it does not fit.
    """
    if tokenizer is None:
        raise UserError(
            f"{path}: holds no tokenizer that t2t reads (spiece.model, tokenizer.json, or ByT5's); name one: "
            "t2t convert --tokenizer=FILE.model"
        )
    if isinstance(tokenizer, Bytes):
        name = "byt5"
    elif arch.relative_bias == "per_layer":
        name = "umt5"
    else:
        name = "t5_1_1" if arch.gated else "t5_1_0"
    run = recipes.get_config(f"{name}:small", Run)
    run = dataclasses.replace(run, model=arch, tokenizer=tokenizer)
    check_vocabulary(run, vocabulary)
    return run
