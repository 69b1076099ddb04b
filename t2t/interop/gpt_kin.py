"""GPT-2 and Llama as Hugging Face has them."""

from t2t.errors import UserError
from t2t.interop.config_keys import one_of, padded, plain, positive, same, tied
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.architecture import Architecture
from t2t.models.families import gpt2

_ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "silu": "silu",
}
_NAMES = {ours: theirs for theirs, ours in _ACTIVATIONS.items() if theirs != "gelu_pytorch_tanh"}

# Buffers of older exports: masks, which are no parameters.
GPT2_IGNORED = (r"transformer\.h\.\d+\.attn\.(bias|masked_bias)",)
# What GPT2Model and LlamaModel alone leave out: openai-community/gpt2 is published so.
GPT2_RENAMES = ((r"^(?=(wte|wpe|h|ln_f)\.)", "transformer."),)
LLAMA_RENAMES = ((r"^(?=(embed_tokens|layers|norm)\.)", "model."),)
LLAMA_IGNORED = (r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq",)


def gpt2_architecture(config: dict, tensors: dict[str, StoredTensor], where: str) -> Architecture:
    """Returns the axes that config.json of a GPT2LMHeadModel says. Raises: UserError."""
    plain(
        config,
        where,
        {
            "scale_attn_weights": True,
            "add_cross_attention": False,
            "tie_word_embeddings": True,
        },
    )
    d_model, heads = positive(config, "n_embd", where), positive(config, "n_head", where)
    arch = gpt2.decoder(
        positive(config, "n_layer", where),
        d_model,
        heads,
        vocab_size=padded(positive(config, "vocab_size", where)),
        d_ff=config.get("n_inner") or 4 * d_model,
        learned_positions=positive(config, "n_positions", where),
        activation=one_of(config, "activation_function", where, _ACTIVATIONS, "gelu_new"),
        norm_epsilon=config.get("layer_norm_epsilon", 1e-5),
        layer_scaled_attention=bool(config.get("scale_attn_by_inverse_layer_idx")),
        dropout=config.get("resid_pdrop", 0.1),
    )
    arch.check(where)
    return arch


def gpt2_config(arch: Architecture, dtype: str) -> dict:
    """Returns the content of config.json. Raises: UserError where their class has no such axis."""
    content = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": arch.vocab_size,
        "n_embd": arch.d_model,
        "n_head": arch.heads,
        "n_layer": arch.decoder_layers,
        "n_inner": arch.d_ff,
        "n_positions": arch.learned_positions,
        "activation_function": _NAMES[arch.activation],
        "layer_norm_epsilon": arch.norm_epsilon,
        "scale_attn_by_inverse_layer_idx": arch.layer_scaled_attention,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), arch.dropout),
        "tie_word_embeddings": True,
        "dtype": dtype,
    }
    same(arch, gpt2_architecture(content, {}, "config.json"), "gpt2")
    return content


def llama_architecture(config: dict, tensors: dict[str, StoredTensor], where: str) -> Architecture:
    """Returns the axes that config.json of a LlamaForCausalLM says. Raises: UserError."""
    plain(config, where, {"attention_bias": False, "mlp_bias": False, "pretraining_tp": 1})
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise UserError(
            f"{where}: rotary positions are scaled ({kind}), which t2t does not compute"
        )
    d_model = positive(config, "hidden_size", where)
    heads = positive(config, "num_attention_heads", where)
    shared = config.get("num_key_value_heads") or heads
    arch = Architecture(
        vocab_size=padded(positive(config, "vocab_size", where)),
        d_model=d_model,
        heads=heads,
        head_dim=config.get("head_dim") or d_model // heads,
        d_ff=positive(config, "intermediate_size", where),
        encoder_layers=0,
        decoder_layers=positive(config, "num_hidden_layers", where),
        activation=one_of(config, "hidden_act", where, _ACTIVATIONS, "silu"),
        kv_heads=shared if shared != heads else 0,
        scaled_attention=True,
        relative_bias="none",
        rotary_base=float(rope.get("rope_theta", config.get("rope_theta", 1e4))),
        norm_epsilon=config.get("rms_norm_eps", 1e-6),
        tied_embedding=(
            tied(tensors, "model.embed_tokens.weight", "lm_head.weight")
            if "lm_head.weight" in tensors
            else bool(config.get("tie_word_embeddings"))  # of LlamaModel nothing else tells it
        ),
        initialization="normal",
        dropout_along_length=False,
    )
    arch.check(where)
    return arch


def llama_config(arch: Architecture, dtype: str) -> dict:
    """Returns the content of config.json. Raises: UserError where their class has no such axis."""
    content = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": arch.vocab_size,
        "hidden_size": arch.d_model,
        "num_attention_heads": arch.heads,
        "num_key_value_heads": arch.key_heads,
        "head_dim": arch.head_dim,
        "intermediate_size": arch.d_ff,
        "num_hidden_layers": arch.decoder_layers,
        "hidden_act": _NAMES[arch.activation],
        "rope_theta": arch.rotary_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": arch.rotary_base},
        "rms_norm_eps": arch.norm_epsilon,
        "tie_word_embeddings": arch.tied_embedding,
        "dtype": dtype,
    }
    same(arch, llama_architecture(content, {}, "config.json"), "llama")
    return content


def gpt2_copies(arch: Architecture) -> dict[str, str]:
    """Returns the tensors that a file may hold twice."""
    return {"lm_head.weight": "transformer.wte.weight"}


def llama_copies(arch: Architecture) -> dict[str, str]:
    """Returns the tensors that a file may hold twice."""
    return {"lm_head.weight": "model.embed_tokens.weight"} if arch.tied_embedding else {}
