"""Switch Transformers as Hugging Face has them."""

from t2t.errors import UserError
from t2t.interop import t5_kin
from t2t.interop.config_keys import one_of, padded, plain, positive, same, tied
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.architecture import Architecture
from t2t.models.families import switch

_ACTIVATIONS = {"relu": "relu", "silu": "silu", "gelu_new": "gelu_tanh", "gelu": "gelu"}
_NAMES = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
_STACKS = (
    ("num_layers", "num_sparse_encoder_layers"),
    ("num_decoder_layers", "num_sparse_decoder_layers"),
)


def architecture(config: dict, tensors: dict[str, StoredTensor], where: str) -> Architecture:
    """Returns the axes that config.json says; whether it is tied its tensors do. Raises: UserError."""
    plain(config, where, {"router_bias": False, "is_gated_act": False, "pad_token_id": 0})
    plain(config, where, {"decoder_start_token_id": 0, "eos_token_id": 1})
    layers, every = [], []
    for key, sparse in _STACKS:
        layers.append(positive(config, key, where, config.get("num_layers")))
        every.append(layers[-1] // positive(config, sparse, where, 3))
        if layers[-1] != every[-1] * config.get(sparse, 3):
            raise UserError(f"{where}: {sparse} does not divide {key}; t2t computes that only")
    if every[0] != every[1]:
        raise UserError(
            f"{where}: every {every[0]}th layer of the encoder is sparse and every {every[1]}th of "
            "the decoder; t2t computes equal ones only"
        )
    arch = switch.architecture(
        "base-8",
        vocab_size=padded(positive(config, "vocab_size", where)),
        d_model=positive(config, "d_model", where),
        heads=positive(config, "num_heads", where),
        head_dim=positive(config, "d_kv", where),
        d_ff=positive(config, "d_ff", where),
        encoder_layers=layers[0],
        decoder_layers=layers[1],
        experts=positive(config, "num_experts", where),
        expert_every=every[0],
        expert_capacity=positive(config, "expert_capacity", where, 64),
        activation=one_of(config, "dense_act_fn", where, _ACTIVATIONS, "relu"),
        relative_buckets=config.get("relative_attention_num_buckets", 32),
        relative_max_distance=config.get("relative_attention_max_distance", 128),
        norm_epsilon=config.get("layer_norm_epsilon", 1e-6),
        tied_embedding=(
            tied(tensors, "shared.weight", "lm_head.weight")
            if tensors
            else bool(config.get("tie_word_embeddings", True))
        ),
        scaled_logits=config.get("tie_word_embeddings", True) is not False,
        dropout=config.get("dropout_rate", 0.1),
    )
    arch.check(where)
    return arch


def config(arch: Architecture, dtype: str) -> dict:
    """Returns the content of config.json. Raises: UserError where their class has no such axis."""
    content = {
        "architectures": ["SwitchTransformersForConditionalGeneration"],
        "model_type": "switch_transformers",
        "vocab_size": arch.vocab_size,
        "d_model": arch.d_model,
        "num_heads": arch.heads,
        "d_kv": arch.head_dim,
        "d_ff": arch.d_ff,
        "num_layers": arch.encoder_layers,
        "num_decoder_layers": arch.decoder_layers,
        "num_sparse_encoder_layers": arch.encoder_layers // arch.expert_every,
        "num_sparse_decoder_layers": arch.decoder_layers // arch.expert_every,
        "num_experts": arch.experts,
        "expert_capacity": arch.expert_capacity,
        "router_bias": False,
        "dense_act_fn": _NAMES[arch.activation],
        "relative_attention_num_buckets": arch.relative_buckets,
        "relative_attention_max_distance": arch.relative_max_distance,
        "layer_norm_epsilon": arch.norm_epsilon,
        "dropout_rate": arch.dropout,
        "tie_word_embeddings": arch.tied_embedding,
        "is_encoder_decoder": True,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "dtype": dtype,
    }
    same(arch, architecture(content, {}, "config.json"), "switch_transformers")
    return content


copies = t5_kin.copies
