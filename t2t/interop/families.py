"""The families whose published checkpoints are read and written, by their `model_type`."""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from t2t.errors import UserError
from t2t.interop import bert_kin, gpt_kin, switch, t5_kin, t5gemma, xlnet
from t2t.interop.published import parameter_shapes
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.architecture import Architecture
from t2t.models.families import (
    albert,
    bert,
    distilbert,
    electra,
    ernie,
    gpt2,
    llama,
    megatron_bert,
    roberta,
    t5,
)
from t2t.models.families import switch as switch_family
from t2t.models.families import t5gemma as t5gemma_family
from t2t.models.families import xlnet as xlnet_family
from t2t.models.published_weight import PublishedWeight


class Family(NamedTuple):
    """What is known of one of their model classes: all that a new family adds."""

    architecture: Callable[[dict, dict[str, StoredTensor], str], Architecture]  # of config.json
    config: Callable[[Architecture, str], dict]  # the content of config.json, for a dtype
    weights: Callable[[Architecture], list[PublishedWeight]]  # the name map
    copies: Callable[[Architecture], dict[str, str]]  # accepted where equal: copy -> original
    written_copies: Callable[[Architecture], dict[str, str]] = lambda arch: {}
    legacy: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # name -> older names of it
    ignored: tuple[str, ...] = ()  # patterns of tensors that no network reads
    renames: tuple[tuple[str, str], ...] = ()  # (pattern in an older name, what stands there now)


def _t5_kin(name: str) -> Family:
    return Family(
        architecture=functools.partial(t5_kin.architecture, name),
        config=functools.partial(t5_kin.config, name),
        weights=t5.huggingface_weights,
        copies=t5_kin.copies,
        written_copies=t5_kin.written_copies,
        legacy=t5_kin.LEGACY,
        ignored=t5_kin.IGNORED,
    )


def _bert_kin(name: str) -> Family:
    return Family(
        architecture=functools.partial(bert_kin.architecture, name),
        config=functools.partial(bert_kin.config, name),
        weights=_ENCODERS[name].huggingface_weights,
        copies=functools.partial(bert_kin.copies, name),
        ignored=bert_kin.IGNORED,
        renames=bert_kin.renames(name),
    )


_ENCODERS = {
    "bert": bert,
    "roberta": roberta,
    "albert": albert,
    "distilbert": distilbert,
    "electra": electra,
    "ernie": ernie,
    "megatron-bert": megatron_bert,
}
FAMILIES: dict[str, Family] = {
    **{name: _t5_kin(name) for name in ("t5", "mt5", "umt5")},
    **{name: _bert_kin(name) for name in _ENCODERS},
    "gpt2": Family(
        architecture=gpt_kin.gpt2_architecture,
        config=gpt_kin.gpt2_config,
        weights=gpt2.huggingface_weights,
        copies=gpt_kin.gpt2_copies,
        ignored=gpt_kin.GPT2_IGNORED,
        renames=gpt_kin.GPT2_RENAMES,
    ),
    "llama": Family(
        architecture=gpt_kin.llama_architecture,
        config=gpt_kin.llama_config,
        weights=llama.huggingface_weights,
        copies=gpt_kin.llama_copies,
        ignored=gpt_kin.LLAMA_IGNORED,
        renames=gpt_kin.LLAMA_RENAMES,
    ),
    "switch_transformers": Family(
        architecture=switch.architecture,
        config=switch.config,
        weights=switch_family.huggingface_weights,
        copies=switch.copies,
        legacy=t5_kin.LEGACY,
        ignored=t5_kin.IGNORED,
    ),
    "t5gemma": Family(
        architecture=t5gemma.architecture,
        config=t5gemma.config,
        weights=t5gemma_family.huggingface_weights,
        copies=t5gemma.copies,
    ),
    "xlnet": Family(
        architecture=xlnet.architecture,
        config=xlnet.config,
        weights=xlnet_family.huggingface_weights,
        copies=xlnet.copies,
        renames=xlnet.RENAMES,
    ),
}


def family_of(arch: Architecture) -> str:
    """Returns the family whose class of theirs computes what `arch` does."""
    if arch.relative_attention:
        return "xlnet"
    if not arch.decoder_layers:
        return bert_kin.family_of(arch)
    if not arch.encoder_layers:
        return "llama" if arch.rotary_base else "gpt2"
    if arch.experts:
        return "switch_transformers"
    return "t5gemma" if arch.separate_embeddings else t5_kin.family_of(arch)


def config_of(name: str, arch: Architecture, dtype: str) -> dict:
    """Returns the content of a family's config.json for a model.

    Each family reads back what it has written, which must be `arch`, and its tensors must be all the
    parameters of it. Raises: UserError, one line, where that class of theirs is another architecture.
    """
    family, option = FAMILIES[name], f"--family={name}"
    try:
        content = family.config(arch, dtype)
    except UserError as error:
        text = str(error)
        if text.startswith(option):
            raise
        raise UserError(f"{option}: cannot be this model ({text})") from None
    theirs, ours = {weight.path for weight in family.weights(arch)}, set(parameter_shapes(arch))
    if theirs != ours:
        apart = sorted("/".join(path) for path in theirs ^ ours)
        raise UserError(f"{option}: cannot be this model, not having in common {', '.join(apart)}")
    return content
