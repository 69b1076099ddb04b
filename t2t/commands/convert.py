"""`t2t convert`: checkpoints of Hugging Face and T5X in, Hugging Face directories out."""

import dataclasses
import os
import re
import shutil
import sys
from typing import NamedTuple

from t2t.commands.options import TOKENIZER_HELP, at_least
from t2t.errors import UserError

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def add_arguments(parser) -> None:
    parser.add_argument(
        "source", metavar="FROM", help="a run, a Hugging Face directory or a T5X checkpoint"
    )
    parser.add_argument("target", metavar="TO", help="a folder that is not there yet")
    parser.add_argument("--to", choices=("huggingface", "t2t"), required=True, help="what to write")
    parser.add_argument(
        "--family",
        default="",
        help="where the files do not say it: t5, t5_1_1, mt5, umt5, byt5, ul2 of a T5X checkpoint; "
        "a model_type of Hugging Face's (t5, mt5, umt5, ernie, ...) of a directory read or written",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default=None,
        help="of the weights (default: as they are stored)",
    )
    parser.add_argument(
        "--tokenizer",
        default="",
        help=f"{TOKENIZER_HELP} (default: the one that FROM holds)",
    )
    parser.add_argument(
        "--step", type=at_least(0), default=None, help="of a run (default: the newest)"
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="read pickled weights (pytorch_model.bin); no code of theirs is run",
    )
    parser.add_argument(
        "--shard-size", default="5GB", help="largest file of a Hugging Face directory (5GB)"
    )


def execute(options, _overrides) -> None:
    shard_bytes = _bytes(options.shard_size)
    target = options.target.rstrip("/")
    _check_target(target or options.target)
    import jax

    jax.config.update("jax_platforms", "cpu")  # weights pass through memory, never an accelerator
    source = _open(options)
    run = _run_of(source, target) if options.to == "t2t" else None
    from t2t.interop import huggingface
    from t2t.interop.published import cast, parameter_count

    leaves = cast(source.leaves, options.dtype)
    _say(f"{source.where}: {parameter_count(leaves.values()):,} parameters")
    # Written beside the target and moved there when whole: a killed conversion leaves no half model.
    staging = f"{target}.partial"
    shutil.rmtree(staging, ignore_errors=True)
    os.makedirs(staging)
    try:
        if run is None:
            huggingface.write_directory(
                staging,
                source.arch,
                leaves,
                source.tokenizer,
                source.family,
                shard_bytes,
                _say,
                source.labels,
            )
        else:
            _write_run(staging, run, source, leaves)
        os.replace(staging, target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _say(f"{target}: written")


class _Source(NamedTuple):
    where: str
    arch: object
    leaves: dict
    tokenizer: object | None  # ours, opened
    family: str  # of Hugging Face's; "" is the one that fits
    run: object | None  # of a run of ours
    labels: tuple[str, ...]  # of a classifier


def _open(options) -> _Source:
    """Opens FROM. Raises: UserError, one line."""
    from t2t.data import tokenizers
    from t2t.interop import huggingface_tokenizer
    from t2t.interop.families import FAMILIES, family_of
    from t2t.interop.opening import check_family, check_head, is_published, open_published

    path = options.source.rstrip("/")

    def named(family: str):
        if not options.tokenizer:
            return None
        return tokenizers.load(huggingface_tokenizer.named(options.tokenizer, family))

    if is_published(path) or not os.path.exists(os.path.join(path, "config.json")):
        found = open_published(path, options.family, options.step, options.allow_pickle)
        check_head(found)
        tokenizer = named(found.family)
        if tokenizer is None and found.tokenizer is not None:
            tokenizer = tokenizers.load(found.tokenizer)
        family = found.family if found.family in FAMILIES else ""
        return _Source(found.where, found.arch, found.leaves, tokenizer, family, None, found.labels)
    from t2t import run as runs
    from t2t.interop.fine_tuned import with_one_head
    from t2t.objectives.implementations import headed, labels_of
    from t2t.training.inputs import open_tokenizer
    from t2t.training.streamed_checkpoint import stored_parameters

    if options.to == "t2t" and options.family:
        raise UserError(f"--family={options.family}: {path} is a run, whose model is known")
    check_family(options.family, list(FAMILIES))
    run = runs.load_saved(path)
    step, leaves = stored_parameters(f"{path}/checkpoints", run.model, options.step)
    tokenizer = named(options.family or family_of(run.model)) or open_tokenizer(run, _say, path)
    where, arch, family = f"{path}, step {step}", run.model, options.family
    head = headed(run.objective)
    if options.to == "huggingface" and head is not None:
        family = family or family_of(arch)  # which pre-training heads may be all that tells it
        arch, leaves = with_one_head(arch, leaves, head, _say)
    return _Source(where, arch, leaves, tokenizer, family, run, labels_of(run.objective))


def _run_of(source: _Source, target: str):
    """Returns the Run to be written: its own, or the recipe of its kin; the tokenizer goes along."""
    from t2t.data.subword_tokenizer import SubwordTokenizer
    from t2t.data.tokenizer_config import Bytes, SentencePiece, Subwords
    from t2t.data.tokenizer_files import MODEL
    from t2t.data.tokenizers import ByteTokenizer
    from t2t.trained import published_run

    tokenizer, config, vocabulary = source.tokenizer, None, None
    if tokenizer is not None:
        vocabulary, extra_ids = tokenizer.vocabulary, tokenizer.extra_ids
        copy = os.path.join(os.path.abspath(target), MODEL)  # that a run's directory holds
        match tokenizer:
            case ByteTokenizer():
                config = Bytes(extra_ids)
            case SubwordTokenizer():
                config = Subwords(copy)
            case _:
                config = SentencePiece(copy, extra_ids, tokenizer.named)
    if source.run is not None:
        if source.run.generator is not None:
            _say("left out, as no part of the model: the generator")
        return dataclasses.replace(
            source.run, tokenizer=config, generator=None, training=_merged(source.run.training)
        )
    return published_run(source.arch, config, vocabulary, source.where, source.labels)


def _merged(training):
    """Returns what is said of the training of a model whose adapters are merged: it has none."""
    if training.lora is None:
        return training
    _say("merged into the kernels that they stood beside: the adapters (config.training.lora)")
    return dataclasses.replace(training, lora=None, trainable=None)


def _write_run(staging: str, run, source: _Source, leaves: dict) -> None:
    """Writes a run's directory: step 0 (parameters alone), vocabulary, configuration."""
    from t2t import run as runs
    from t2t import schema
    from t2t.data.tokenizer_files import keep
    from t2t.training.streamed_checkpoint import write_parameters

    record = {
        "config": schema.to_json(run),
        "versions": runs.versions(),
        "tokenizer": source.tokenizer.vocabulary.fingerprint,
        "converted_from": source.where,
    }
    write_parameters(os.path.join(staging, "checkpoints"), leaves, record, _say)
    keep(source.tokenizer, staging)
    runs.save(run, staging, runs.versions())


def _check_target(target: str) -> None:
    if "://" in target:
        raise UserError(f"{target}: is in an object store; convert to a local folder and copy that")
    if os.path.basename(os.path.normpath(target)) in ("", ".", ".."):
        raise UserError(
            f"TO: {target!r} names no folder to be made; give one that is not there yet"
        )
    if os.path.exists(target) and not (os.path.isdir(target) and not os.listdir(target)):
        raise UserError(f"{target}: is there already; give a folder that is not")


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)\s*(KB|MB|GB|)", text.strip().upper())
    if not found or not int(found[1]):
        raise UserError(f"--shard-size={text}: is no size; write it as 5GB or 500MB")
    return int(found[1]) * _UNITS[found[2]]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
