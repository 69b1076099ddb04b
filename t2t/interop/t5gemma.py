"""T5Gemma as Hugging Face has it: one configuration for each stack."""

from t2t.errors import UserError
from t2t.interop.config_keys import one_of, padded, plain, positive, same
from t2t.interop.stored_tensor import StoredTensor, equal
from t2t.models.architecture import Architecture
from t2t.models.families import t5gemma

_ACTIVATIONS = {"gelu_pytorch_tanh": "gelu_tanh", "silu": "silu", "relu": "relu", "gelu": "gelu"}
_NAMES = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
_HEAD, _TABLE = "lm_head.out_proj.weight", "model.decoder.embed_tokens.weight"


def architecture(config: dict, tensors: dict[str, StoredTensor], where: str) -> Architecture:
    """Returns the axes that config.json says; whether it is tied its tensors do. Raises: UserError."""
    stacks = []
    for name in ("encoder", "decoder"):
        part = config.get(name)
        if not isinstance(part, dict):
            raise UserError(f"{where}: {name} is {part!r}, not the configuration of a stack")
        stacks.append(_stack(part, f"{where}: {name}"))
    (encoder, layers), (decoder, decoder_layers) = stacks
    for key, value in encoder.items():
        if decoder[key] != value:
            raise UserError(
                f"{where}: {key} of the encoder is {value!r} and of the decoder {decoder[key]!r}; "
                "t2t computes equal ones only"
            )
    head, table = tensors.get(_HEAD), tensors.get(_TABLE)
    tied = head is None or (table is not None and equal(table, head))
    said = config.get("tie_word_embeddings", True)
    arch = t5gemma.architecture(
        "2b-2b",
        **encoder,
        encoder_layers=layers,
        decoder_layers=decoder_layers,
        tied_embedding=bool(said) if not tensors else tied,
        dropout=config.get("dropout_rate", 0.0),
    )
    arch.check(where)
    return arch


def _stack(part: dict, where: str) -> tuple[dict, int]:
    """The axes of a stack but its depth, and that."""
    plain(part, where, {"attention_bias": False})
    layers, window = positive(part, "num_hidden_layers", where), part.get("sliding_window") or 0
    kinds = [("full" if i % 2 or not window else "sliding") + "_attention" for i in range(layers)]
    plain(part, where, {"layer_types": kinds})
    rope = part.get("rope_parameters") or {}
    if rope.get("rope_type", "default") != "default":
        raise UserError(f"{where}: rope_type is {rope['rope_type']!r}; t2t computes 'default' only")
    heads = positive(part, "num_attention_heads", where)
    shared = positive(part, "num_key_value_heads", where, heads)
    head_dim = positive(part, "head_dim", where, 256)
    scalar = positive(part, "query_pre_attn_scalar", where, 256)
    axes = {
        "vocab_size": padded(positive(part, "vocab_size", where, 256000)),
        "d_model": positive(part, "hidden_size", where),
        "heads": heads,
        "kv_heads": shared if shared != heads else 0,
        "head_dim": head_dim,
        "d_ff": positive(part, "intermediate_size", where),
        "activation": one_of(part, "hidden_activation", where, _ACTIVATIONS, "gelu_pytorch_tanh"),
        "query_scalar": scalar if scalar != head_dim else 0,
        "attention_softcap": float(part.get("attn_logit_softcapping") or 0),
        "logits_softcap": float(part.get("final_logit_softcapping") or 0),
        "window": window,
        "rotary_base": float(rope.get("rope_theta", part.get("rope_theta", 1e4))),
        "norm_epsilon": part.get("rms_norm_eps", 1e-6),
    }
    return axes, layers


def config(arch: Architecture, dtype: str) -> dict:
    """Returns the content of config.json. Raises: UserError where their class has no such axis."""
    base = {
        "vocab_size": arch.vocab_size,
        "hidden_size": arch.d_model,
        "num_attention_heads": arch.heads,
        "num_key_value_heads": arch.key_heads,
        "head_dim": arch.head_dim,
        "intermediate_size": arch.d_ff,
        "hidden_activation": _NAMES[arch.activation],
        "query_pre_attn_scalar": arch.query_scalar or arch.head_dim,
        "attn_logit_softcapping": arch.attention_softcap or None,
        "final_logit_softcapping": arch.logits_softcap or None,
        "sliding_window": arch.window or None,
        "rope_theta": arch.rotary_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": arch.rotary_base},
        "rms_norm_eps": arch.norm_epsilon,
        "tie_word_embeddings": arch.tied_embedding,
        "dtype": dtype,
    }
    stacks = {}
    for name, layers in (("encoder", arch.encoder_layers), ("decoder", arch.decoder_layers)):
        whole = [bool(i % 2) or not arch.window for i in range(layers)]
        kinds = ["full_attention" if w else "sliding_attention" for w in whole]
        stacks[name] = {**base, "num_hidden_layers": layers, "layer_types": kinds}
        stacks[name]["model_type"] = "t5_gemma_module"
        stacks[name]["is_decoder"] = name == "decoder"
    content = {
        "architectures": ["T5GemmaForConditionalGeneration"],
        "model_type": "t5gemma",
        **stacks,
        "vocab_size": arch.vocab_size,
        "dropout_rate": arch.dropout,
        "tie_word_embeddings": arch.tied_embedding,
        "is_encoder_decoder": True,
        "dtype": dtype,
    }
    same(arch, architecture(content, {}, "config.json"), "t5gemma")
    return content


def copies(arch: Architecture) -> dict[str, str]:
    """Returns the tensors that a file may hold twice."""
    return {_HEAD: _TABLE} if arch.tied_embedding else {}
