"""XLNet as Hugging Face has it."""

from t2t.errors import UserError
from t2t.interop.config_keys import bare, one_of, padded, plain, positive, same
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.architecture import Architecture
from t2t.models.families import xlnet
from t2t.models.families.bert import classifies

_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "relu": "relu", "silu": "silu"}
_NAMES = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
# How theirs numbers special tokens, in every published vocabulary.
_SPECIAL = {"pad_token_id": 5, "bos_token_id": 1, "eos_token_id": 2}
_CLASSIFIER, _SPANS, _WORDS = "logits_proj.weight", "qa_outputs.weight", "lm_loss.bias"
_BEAM = "start_logits.dense.weight"
RENAMES = ((r"^(?=(word_embedding\.|mask_emb$|layer\.))", "transformer."),)  # XLNetModel alone
# How a classifier reads a row: the state of its last token, a dense layer, tanh.
_SUMMARY = {"summary_type": "last", "summary_use_proj": True, "summary_activation": "tanh"}


def architecture(config: dict, tensors: dict[str, StoredTensor], where: str) -> Architecture:
    """Returns the axes of a model from its config.json; which heads it has, from its tensors.

    Raises: UserError naming the key.
    """
    if _BEAM in tensors:
        raise UserError(
            f"{where}: is an XLNetForQuestionAnswering, whose ends are told for each start by a beam; "
            "t2t reads XLNetForQuestionAnsweringSimple (qa_outputs)"
        )
    due = {"attn_type": "bi", "bi_data": False, "clamp_len": -1, "same_length": False}
    plain(config, where, {**due, "untie_r": True, "tie_word_embeddings": True})
    d_model, heads = positive(config, "d_model", where), positive(config, "n_head", where)
    if d_model % heads:
        raise UserError(f"{where}: {heads} heads do not divide d_model {d_model}")
    plain(config, where, {"d_head": d_model // heads})
    axes: dict = {}
    if (classes := tensors.get(_CLASSIFIER)) is not None:
        plain(config, where, {**_SUMMARY, "summary_proj_to_labels": False})
        axes["pair_classes"] = classes.shape[0]
    if (spans := tensors.get(_SPANS)) is not None:
        axes["token_classes"] = spans.shape[0]
    if axes or bare(tensors, "transformer"):
        axes["vocabulary_bias"] = _WORDS in tensors
    arch = xlnet.encoder(
        positive(config, "n_layer", where),
        d_model,
        heads,
        vocab_size=padded(positive(config, "vocab_size", where)),
        d_ff=positive(config, "d_inner", where),
        activation=one_of(config, "ff_activation", where, _ACTIVATIONS, "gelu"),
        norm_epsilon=config.get("layer_norm_eps", 1e-12),
        dropout=config.get("dropout", 0.1),
        **axes,
    )
    arch.check(where)
    return arch


def config(arch: Architecture, dtype: str) -> dict:
    """Returns the content of config.json. Raises: UserError where their class has no such axis."""
    name = "ForSequenceClassification" if classifies(arch) else "LMHeadModel"
    name = "ForQuestionAnsweringSimple" if arch.token_classes == 2 else name
    content = {
        "architectures": [f"XLNet{name}"],
        "model_type": "xlnet",
        "vocab_size": arch.vocab_size,
        "d_model": arch.d_model,
        "n_head": arch.heads,
        "d_head": arch.head_dim,
        "n_layer": arch.encoder_layers,
        "d_inner": arch.d_ff,
        "ff_activation": _NAMES[arch.activation],
        "layer_norm_eps": arch.norm_epsilon,
        "dropout": arch.dropout,
        "attn_type": "bi",
        "untie_r": True,
        "tie_word_embeddings": True,
        "dtype": dtype,
        **_SPECIAL,
    }
    marks: dict = {_WORDS: None} if arch.vocabulary_bias else {}
    if arch.pair_classes:
        content |= _SUMMARY
        marks[_CLASSIFIER] = StoredTensor((arch.pair_classes, arch.d_model), None, None)
    if arch.token_classes == 2:
        marks[_SPANS] = StoredTensor((2, arch.d_model), None, None)
    same(arch, architecture(content, marks, "config.json"), "xlnet")
    return content


def copies(arch: Architecture) -> dict[str, str]:
    """Returns the tensors that a file may hold twice."""
    return {"lm_loss.weight": "transformer.word_embedding.weight"}
