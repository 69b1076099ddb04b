"""A tiny model of every family that is read and written, and its directory with random weights."""

import dataclasses

import numpy as np

from t2t.interop import huggingface
from t2t.interop.published import parameter_shapes
from t2t.interop.stored_tensor import of_array
from t2t.models.families import byt5, t5, t5_1_1, umt5, xlnet
from tests.models.tiny_families import BOTH, FAMILIES, SHAPE

XLNET = xlnet.architecture("base", **SHAPE, encoder_layers=2)
# name -> (family, axes)
MODELS = {
    "t5": ("t5", dataclasses.replace(t5.architecture("small"), **BOTH)),
    "t5_1_1": ("t5", dataclasses.replace(t5_1_1.architecture("small"), **BOTH)),
    "byt5": ("mt5", dataclasses.replace(byt5.architecture("small"), **BOTH)),
    "umt5": ("umt5", dataclasses.replace(umt5.architecture("small"), **BOTH)),
    "xlnet": ("xlnet", XLNET),
    "gpt2": ("gpt2", FAMILIES["gpt2"]),
    "llama": ("llama", FAMILIES["llama"]),
    "bert": ("bert", FAMILIES["bert"]),
    "roberta": ("roberta", FAMILIES["roberta"]),
    "albert": ("albert", FAMILIES["albert"]),
    "distilbert": ("distilbert", FAMILIES["distilbert"]),
    "electra-generator": ("electra", FAMILIES["electra-generator"]),
    "electra": ("electra", FAMILIES["electra"]),
    "ernie": ("ernie", dataclasses.replace(FAMILIES["ernie-2"], token_classes=0)),
    "megatron_bert": ("megatron-bert", FAMILIES["megatron_bert"]),
    "switch": ("switch_transformers", FAMILIES["switch"]),
    "t5gemma": ("t5gemma", FAMILIES["t5gemma"]),
}


def leaves_of(arch) -> dict:
    """Random parameters of a model by path."""
    rng = np.random.default_rng(0)
    return {
        path: of_array(rng.normal(size=shape).astype(np.float32))
        for path, shape in parameter_shapes(arch).items()
    }


def write(folder, family: str, arch) -> None:
    """Writes its directory, without a tokenizer; raises what `write_directory` does."""
    huggingface.write_directory(str(folder), arch, leaves_of(arch), None, family)
