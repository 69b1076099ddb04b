"""A tiny value of every family that is not T5's, with windows and capacities that rows overflow."""

from dataclasses import replace

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
    switch,
    t5gemma,
)

SHAPE = {"vocab_size": 128, "d_model": 32, "heads": 4, "head_dim": 8, "d_ff": 48}
DECODER = {**SHAPE, "decoder_layers": 3}
ENCODER = {**SHAPE, "encoder_layers": 4, "learned_positions": 64}
BOTH = {**SHAPE, "encoder_layers": 4, "decoder_layers": 2}
CAPS = {"attention_softcap": 3.0, "logits_softcap": 2.0}

FAMILIES = {
    "gpt2": replace(gpt2.architecture("small"), **DECODER, learned_positions=64),
    "gpt2-by-layer": replace(
        gpt2.architecture("small"), **DECODER, learned_positions=64, layer_scaled_attention=True
    ),
    # Every other layer of GPT-3 sees a band.
    "gpt2-banded": replace(gpt2.architecture("small"), **DECODER, learned_positions=64, window=5),
    "llama": replace(llama.architecture("7b"), **DECODER, kv_heads=2),
    "bert": replace(bert.architecture("base"), **ENCODER),
    "roberta": replace(roberta.architecture("base"), **ENCODER),
    "albert": replace(albert.architecture("base"), **ENCODER, d_embedding=16, layer_groups=2),
    "distilbert": replace(distilbert.architecture("base"), **ENCODER),
    "electra-generator": replace(electra.generator("small"), **ENCODER, d_embedding=16),
    "electra": replace(electra.architecture("small"), **ENCODER, d_embedding=16),
    "ernie-2": replace(ernie.architecture("2.0-base"), **ENCODER, task_types=3),
    "megatron_bert": replace(megatron_bert.architecture("345m"), **ENCODER),
    "switch": replace(switch.architecture("base-8"), **BOTH, experts=4, expert_capacity=6),
    "t5gemma": replace(
        t5gemma.architecture("2b-2b"), **BOTH, kv_heads=2, window=5, query_scalar=20, **CAPS
    ),
}
