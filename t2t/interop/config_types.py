"""What type each key of a published config.json has, checked before any of them is read.

Readers may then take values as they are: what is no number has been refused, by file, key and value.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from t2t.errors import UserError

_LARGEST = 2**31 - 1  # of an axis; past it no array can be laid out


def _integer(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value) -> bool:
    return (_integer(value) or isinstance(value, float)) and math.isfinite(value)


class _Kind(NamedTuple):
    what: str  # as it is said
    fits: Callable[[object], bool]


_COUNT = _Kind("a positive integer", lambda v: _integer(v) and 1 <= v <= _LARGEST)
_POSITIVE = _Kind("a positive number", lambda v: _number(v) and v > 0)
_SHARE = _Kind("a number from 0 to under 1", lambda v: _number(v) and 0 <= v < 1)
_FLAG = _Kind("true or false", lambda v: isinstance(v, bool))
_TEXT = _Kind("a text", lambda v: isinstance(v, str))
_TEXTS = _Kind(
    "a list of texts", lambda v: isinstance(v, list) and all(isinstance(t, str) for t in v)
)
_OBJECT = _Kind("an object", lambda v: isinstance(v, dict))
_TOKEN = _Kind(
    "an id, or a list of ids",
    lambda v: _integer(v) or (isinstance(v, list) and all(map(_integer, v))),
)
_KEYS: dict[_Kind, str] = {
    _COUNT: "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size "
    "max_position_embeddings n_layers dim n_heads hidden_dim embedding_size num_hidden_groups "
    "inner_group_num n_embd n_head n_layer n_positions n_inner d_model d_inner d_head num_layers "
    "num_decoder_layers num_heads d_kv d_ff num_sparse_encoder_layers num_sparse_decoder_layers "
    "num_experts expert_capacity num_key_value_heads head_dim relative_attention_num_buckets "
    "relative_attention_max_distance query_pre_attn_scalar sliding_window type_vocab_size "
    "task_type_vocab_size",
    _POSITIVE: "layer_norm_eps layer_norm_epsilon rms_norm_eps rope_theta attn_logit_softcapping "
    "final_logit_softcapping",
    _SHARE: "hidden_dropout_prob dropout dropout_rate resid_pdrop",
    _FLAG: "tie_word_embeddings scale_attn_weights scale_attn_by_inverse_layer_idx use_task_id "
    "add_cross_attention is_decoder attention_bias mlp_bias router_bias is_gated_act bi_data "
    "sinusoidal_pos_embds scale_decoder_outputs same_length untie_r summary_use_proj "
    "summary_proj_to_labels",
    _TEXT: "model_type tokenizer_class hidden_act activation activation_function ff_activation "
    "hidden_activation dense_act_fn feed_forward_proj position_embedding_type attn_type "
    "summary_type summary_activation rope_type type",
    _TEXTS: "architectures layer_types",
    _OBJECT: "encoder decoder rope_parameters rope_scaling",
    _TOKEN: "pad_token_id bos_token_id eos_token_id decoder_start_token_id",
}
TYPES: dict[str, _Kind] = {key: kind for kind, keys in _KEYS.items() for key in keys.split()}
# What may be null, which is to say that it is not there: transformers writes some keys so.
_NULLABLE = (
    "n_inner num_decoder_layers num_key_value_heads head_dim sliding_window attn_logit_softcapping "
    "final_logit_softcapping model_type tokenizer_class feed_forward_proj summary_activation "
    "architectures layer_types encoder decoder rope_parameters rope_scaling"
)
NULLABLE = frozenset(_NULLABLE.split()) | {k for k, v in TYPES.items() if v in (_FLAG, _TOKEN)}
_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "num_decoder_layers")
_SHARED_LAYERS = 1000  # ALBERT's, of which its tensors do not tell the number


def check_types(config: dict, where: str, inside: str = "") -> None:
    """Raises UserError naming the first known key whose value is of another type than it must be.

    inside: the keys above this object, each with a dot.
    """
    for key, value in config.items():
        kind = TYPES.get(key)
        if kind is None or (value is None and key in NULLABLE):
            continue
        if not kind.fits(value):
            raise UserError(f"{where}: {inside}{key} is {_shown(value)}, not {kind.what}")
        if kind is _OBJECT:
            check_types(value, where, f"{inside}{key}.")


def check_counts(config: dict, family: str, tensors: int, where: str) -> None:
    """Raises UserError where there are said to be more layers or experts than files hold tensors.

    So that no list of their names is made that would fill the memory.
    """
    layers = max(_SHARED_LAYERS, tensors) if family == "albert" else tensors
    most = {**dict.fromkeys(_LAYERS, layers), "num_hidden_groups": tensors, "num_experts": tensors}
    for part in (config, config.get("encoder") or {}, config.get("decoder") or {}):
        for key, limit in most.items():
            if (part.get(key) or 0) > limit:
                raise UserError(
                    f"{where}: {key} is {part[key]}, and its files hold {tensors} tensors"
                )


def _shown(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
