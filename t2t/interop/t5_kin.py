"""T5, mT5, umT5 and what shares their layouts (v1.1, Flan, ByT5, UL2) as Hugging Face has them."""

from t2t.errors import UserError
from t2t.interop.config_keys import padded, positive, same, tied
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.architecture import Architecture

# Their name of a feed-forward block -> (activation, gated). Their "gelu" in a gated block is the
# tanh approximation, whatever the name; in a plain one it is the exact one, which T5 never had.
_FEED_FORWARD = {
    "relu": ("relu", False),
    "silu": ("silu", False),
    "gelu_new": ("gelu_tanh", False),
    "gated-relu": ("relu", True),
    "gated-silu": ("silu", True),
    "gated-gelu": ("gelu_tanh", True),
    "gated-gelu_new": ("gelu_tanh", True),
}
_DEFAULT_FEED_FORWARD = {"t5": "relu", "mt5": "gated-gelu", "umt5": "gated-gelu"}
_CLASSES = {
    "t5": "T5ForConditionalGeneration",
    "mt5": "MT5ForConditionalGeneration",
    "umt5": "UMT5ForConditionalGeneration",
}
_SIZES = ("vocab_size", "d_model", "num_heads", "d_kv", "d_ff", "num_layers")

# Never part of the network: older exports carry a table that cross-attention does not have.
IGNORED = (r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",)
# Where the first is absent, one of the second is it under another name.
LEGACY = {"shared.weight": ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")}


def architecture(
    family: str, config: dict, tensors: dict[str, StoredTensor], where: str
) -> Architecture:
    """Returns the axes of a model from its config.json and, where that is known to lie, its tensors.

    A model is tied where it has no head, or one equal to the table: `tie_word_embeddings` is true
    of every T5 that transformers 5 has saved. Position tables in every layer are seen there too.
    Raises: UserError naming the key.
    """
    if not any(name.startswith("decoder.") for name in tensors):
        raise UserError(f"{where}: its weights are an encoder's alone, which writes no words")
    is_tied = tied(tensors, "shared.weight", "lm_head.weight")
    sizes = {key: positive(config, key, where) for key in _SIZES}
    for key, due in (("decoder_start_token_id", 0), ("pad_token_id", 0), ("eos_token_id", 1)):
        found = config.get(key)
        if found not in (None, due, [due]):
            raise UserError(f"{where}: {key} is {found!r}; t2t's is {due}")
    block = config.get("feed_forward_proj") or _DEFAULT_FEED_FORWARD[family]
    if block not in _FEED_FORWARD:
        raise UserError(
            f"{where}: feed_forward_proj is {block!r}; t2t has {', '.join(_FEED_FORWARD)}"
        )
    activation, gated = _FEED_FORWARD[block]
    per_layer = any(".block.1.layer.0.SelfAttention.relative_attention_bias" in n for n in tensors)
    arch = Architecture(
        vocab_size=padded(sizes["vocab_size"]),
        d_model=sizes["d_model"],
        heads=sizes["num_heads"],
        head_dim=sizes["d_kv"],
        d_ff=sizes["d_ff"],
        encoder_layers=sizes["num_layers"],
        decoder_layers=config.get("num_decoder_layers") or sizes["num_layers"],
        activation=activation,
        gated=gated,
        relative_bias="per_layer" if per_layer or family == "umt5" else "shared",
        relative_buckets=config.get("relative_attention_num_buckets", 32),
        relative_max_distance=config.get("relative_attention_max_distance", 128),
        norm_epsilon=config.get("layer_norm_epsilon", 1e-6),
        tied_embedding=is_tied,
        scaled_logits=_scaled(family, config, is_tied),
        dropout=config.get("dropout_rate", 0.1),
    )
    arch.check(where)
    kind = str((config.get("architectures") or [""])[0])
    if kind.endswith("Model") and "lm_head.weight" not in tensors and not arch.scaled_logits:
        raise UserError(
            f"{where}: is a {kind}, which was trained with a head of its own (lm_head.weight) that is "
            f"not there; take {_CLASSES[family]}"
        )
    return arch


def _scaled(family: str, config: dict, tied: bool) -> bool:
    """Whether the logits are multiplied by d_model ** -0.5.

    mT5 never does. T5 and umT5 do where config.json says so (transformers 5 writes the key), else
    where the model is tied and is not said to be otherwise: the published untied ones (v1.1, umT5)
    were trained without.
    """
    if family == "mt5":
        return False
    if isinstance(config.get("scale_decoder_outputs"), bool):
        return config["scale_decoder_outputs"]
    return tied and config.get("tie_word_embeddings") is not False


def family_of(arch: Architecture) -> str:
    """Returns the class of theirs that computes what `arch` does."""
    return "umt5" if arch.relative_bias == "per_layer" else "t5"


def config(family: str, arch: Architecture, dtype: str) -> dict:
    """Returns the content of config.json. Raises: UserError where their class has no such axis."""
    if (arch.relative_bias == "per_layer") != (family == "umt5"):
        have = "a position table in every layer" if family == "umt5" else "one table a stack"
        raise UserError(f"--family={family}: has {have}, which this model has not")
    if family == "mt5" and arch.scaled_logits:
        raise UserError("--family=mt5: never scales its logits, as this model does; use t5")
    plain_or_gated = (arch.activation, arch.gated)
    block = next((n for n, axes in _FEED_FORWARD.items() if axes == plain_or_gated), None)
    if block is None:
        raise UserError(
            f"--family={family}: has no feed-forward of {arch.activation} without a gate"
        )
    content = {
        "architectures": [_CLASSES[family]],
        "model_type": family,
        "vocab_size": arch.vocab_size,
        "d_model": arch.d_model,
        "num_heads": arch.heads,
        "d_kv": arch.head_dim,
        "d_ff": arch.d_ff,
        "num_layers": arch.encoder_layers,
        "num_decoder_layers": arch.decoder_layers,
        "feed_forward_proj": block,
        "relative_attention_num_buckets": arch.relative_buckets,
        "relative_attention_max_distance": arch.relative_max_distance,
        "layer_norm_epsilon": arch.norm_epsilon,
        "dropout_rate": arch.dropout,
        # transformers 4 takes it for both, tying and scaling; 5 ties by the tensors and scales by
        # its own key where there is one.
        "tie_word_embeddings": arch.tied_embedding and arch.scaled_logits,
        "scale_decoder_outputs": arch.scaled_logits,
        "is_encoder_decoder": True,
        "use_cache": True,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "dtype": dtype,
    }
    names = ["decoder.final_layer_norm.weight"]
    names += [] if arch.tied_embedding else ["lm_head.weight"]
    same(arch, architecture(family, content, dict.fromkeys(names), "config.json"), family)
    return content


def copies(arch: Architecture) -> dict[str, str]:
    """Returns the tensors that a file may hold twice: a copy's name and the name of what it equals."""
    tables = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    heads = ("lm_head.weight",) if arch.tied_embedding else ()
    return dict.fromkeys((*tables, *heads), "shared.weight")


def written_copies(arch: Architecture) -> dict[str, str]:
    """Returns the copies that a file must hold: transformers 4 takes no tied head without scaling."""
    needed = arch.tied_embedding and not arch.scaled_logits
    return {"lm_head.weight": "shared.weight"} if needed else {}
