"""Hugging Face directories: config.json, weights and tokenizer, in and out."""

import dataclasses
import json
import os
import re
from collections.abc import Callable

from t2t.data.tokenizer_config import Tokenizer
from t2t.errors import UserError, nearest
from t2t.interop import huggingface_tokenizer, safetensors_files, torch_pickle
from t2t.interop.class_labels import check_class, label_keys, labels_of
from t2t.interop.config_types import check_counts, check_types
from t2t.interop.families import FAMILIES, Family, config_of, family_of
from t2t.interop.published import Path, Published, leaves_of, tensors_of
from t2t.interop.stored_tensor import StoredTensor, equal, transposed
from t2t.models.architecture import Architecture

CONFIG = "config.json"
_PICKLE, _PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
_OTHERS = ("tf_model.h5", "flax_model.msgpack", "model.ckpt.index")
SHARD_BYTES = 5_000_000_000  # what transformers 4 made; 5 reads any


def is_directory(path: str) -> bool:
    """Whether a path is a folder with a model of theirs, as far as its file names tell."""
    config = _config_or_none(path)
    if config is None or "config" in config:  # ours holds the whole run under that key
        return False
    return bool({"model_type", "architectures"} & set(config)) or bool(_weight_files(path))


def _config_or_none(path: str) -> dict | None:
    try:
        with open(os.path.join(path, CONFIG), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _weight_files(path: str) -> list[str]:
    wanted = (safetensors_files.SINGLE, safetensors_files.INDEX, _PICKLE, _PICKLE_INDEX)
    return [name for name in wanted if os.path.isfile(os.path.join(path, name))]


def open_directory(path: str, family: str = "", allow_pickle: bool = False) -> Published:
    """Opens a directory; nothing is read but the headers of its files.

    family: its `model_type`, where config.json says none. allow_pickle: read `.bin` files, without
    running anything of theirs.
    Raises: UserError, one line: another family, a damaged file, every tensor that does not fit.
    """
    where = os.path.join(path, CONFIG)
    config = _config_or_none(path)
    if config is None:
        raise UserError(f"{where}: is not there, or is no JSON object")
    check_types(config, where)
    name = _family_name(config, family, where)
    known = FAMILIES[name]
    check_class(config, where)
    tensors = _open_weights(path, allow_pickle)
    check_counts(config, name, len(tensors), where)
    _take_legacy_names(tensors, known)
    arch = known.architecture(config, tensors, where)
    labels = labels_of(config, arch, where)
    pooler = _take_pooler(tensors, known, arch)
    _drop_copies(path, tensors, known, arch)
    leaves = leaves_of(known.weights(arch), tensors, arch, path, f"the {name} of its {CONFIG}")
    tokenizer = huggingface_tokenizer.find(path, config)
    return Published(path, name, arch, leaves, tokenizer, labels, pooler)


def tokenizer_of(path: str) -> Tokenizer | None:
    """Returns the tokenizer of a directory; None where it has none that t2t reads."""
    return huggingface_tokenizer.find(path, _config_or_none(path) or {})


def _open_weights(path: str, allow_pickle: bool) -> dict[str, StoredTensor]:
    def indexed(index: str) -> list[str]:
        return safetensors_files.indexed_files(path, index)

    found = _weight_files(path)
    if safetensors_files.SINGLE in found:
        return safetensors_files.open_files([os.path.join(path, safetensors_files.SINGLE)])
    if safetensors_files.INDEX in found:
        return safetensors_files.open_files(indexed(safetensors_files.INDEX))
    if not found:
        others = [name for name in _OTHERS if os.path.isfile(os.path.join(path, name))]
        only = f" (only {', '.join(others)}, which t2t does not read)" if others else ""
        raise UserError(f"{path}: holds no {safetensors_files.SINGLE}{only}")
    if not allow_pickle:
        raise UserError(
            f"{path}: its weights are pickled ({found[0]}), a format that can carry code; "
            "`t2t convert --allow-pickle` reads it without running any"
        )
    files = [os.path.join(path, _PICKLE)] if _PICKLE in found else indexed(_PICKLE_INDEX)
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        tensors |= torch_pickle.open_file(file)
    return tensors


def _family_name(config: dict, asked: str, where: str) -> str:
    found = config.get("model_type")
    if found is None:  # google/umt5-* say their class only
        classes = config.get("architectures") or [""]
        found = str(classes[0]).removesuffix("ForConditionalGeneration").lower() or None
    if found is None and not asked:
        raise UserError(f"{where}: names no model_type; say it by --family ({', '.join(FAMILIES)})")
    if found is not None and asked and found != asked:
        raise UserError(f"--family={asked}: {where} says model_type {found!r}")
    name = str(found or asked)
    if name not in FAMILIES:
        raise UserError(
            f"{where}: is a model of family {name!r}{nearest(name, FAMILIES)}; "
            f"t2t reads {', '.join(FAMILIES)}"
        )
    return name


def _take_legacy_names(tensors: dict[str, StoredTensor], family: Family) -> None:
    for pattern, now in family.renames:
        for name in [n for n in tensors if re.search(pattern, n)]:
            tensors[re.sub(pattern, now, name)] = tensors.pop(name)
    _drop(tensors, family.ignored)
    for name, older in family.legacy.items():
        for old in older:
            if name not in tensors and old in tensors:
                tensors[name] = tensors[old]


def _drop(tensors: dict[str, StoredTensor], patterns: tuple[str, ...]) -> None:
    for name in [n for n in tensors if any(re.fullmatch(p, n) for p in patterns)]:
        del tensors[name]


def _take_pooler(
    tensors: dict[str, StoredTensor], family: Family, arch: Architecture
) -> dict[Path, StoredTensor]:
    """Takes out what a model without classes may hold all the same: BertModel's pooler.

    Older files of ...ForMaskedLM and ...ForQuestionAnswering have it too, unused.
    """
    if arch.decoder_layers or arch.pair_classes:
        return {}
    return {
        weight.path: transposed(tensor) if weight.transposed else tensor
        for weight in family.weights(dataclasses.replace(arch, pair_classes=1))
        if weight.path[:2] == ("pair_head", "pooler")
        and (tensor := tensors.pop(weight.name, None)) is not None
    }


def _drop_copies(
    path: str, tensors: dict[str, StoredTensor], family: Family, arch: Architecture
) -> None:
    """Takes out the tensors that are copies of others. Raises: UserError where one is not."""
    for name, original in family.copies(arch).items():
        if name not in tensors or original not in tensors:
            continue
        if not (tensors[name] is tensors[original] or equal(tensors[name], tensors[original])):
            raise UserError(
                f"{path}: {name} is not the same as {original}, as in this family it must be"
            )
        del tensors[name]


def write_directory(
    path: str,
    arch: Architecture,
    leaves: dict[Path, StoredTensor],
    tokenizer,
    family: str = "",
    shard_bytes: int = SHARD_BYTES,
    say: Callable[[str], None] = lambda text: None,
    labels: tuple[str, ...] = (),
) -> None:
    """Writes a directory that `from_pretrained` of transformers loads, into an empty folder.

    tokenizer: ours, opened, or None. family: a key of FAMILIES; "" is the one that fits. labels: of a
    classifier; without them they are LABEL_0, LABEL_1. Raises: UserError, before anything is written,
    where that family's class would compute something else.
    """
    name = family or family_of(arch)
    known = FAMILIES[name]
    widest = max((leaf.dtype for leaf in leaves.values()), key=lambda kind: kind.itemsize)
    content = config_of(name, arch, widest.name)
    tensors = tensors_of(known.weights(arch), leaves, arch.heads)
    for copy, original in known.written_copies(arch).items():
        tensors[copy] = tensors[original]
    _write_json(path, CONFIG, content | label_keys(arch, labels))
    if arch.encoder_layers and arch.decoder_layers:
        start = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
        _write_json(path, "generation_config.json", start)
    if tokenizer is not None:
        huggingface_tokenizer.write(path, tokenizer, arch)
    safetensors_files.write(path, tensors, shard_bytes, say)


def _write_json(path: str, name: str, content: dict) -> None:
    with open(os.path.join(path, name), "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2) + "\n")
