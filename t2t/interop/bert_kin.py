"""BERT and its kin as Hugging Face has them: config.json in and out, copies, older names."""

from t2t.errors import UserError
from t2t.interop.config_keys import bare, one_of, padded, plain, positive, same
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.architecture import Architecture
from t2t.models.families import bert

_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "relu": "relu", "silu": "silu"}
_NAMES = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
_DEFAULT_ACTIVATION = {"albert": "gelu_new"}
_EPSILON = {"roberta": 1e-5}
_CLASSES = {
    "bert": "Bert",
    "roberta": "Roberta",
    "albert": "Albert",
    "distilbert": "DistilBert",
    "electra": "Electra",
    "ernie": "Ernie",
    "megatron-bert": "MegatronBert",
}
FAMILIES = tuple(_CLASSES)

# Buffers, and poolers of masked language models, which no network here reads.
IGNORED = (
    r".*\.embeddings\.(position_ids|token_type_ids)",
    r"roberta\.pooler\.dense\.(weight|bias)",
)
# Names of TensorFlow's time, still in the oldest files.
_RENAMES = ((r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias"))

# (their vocabulary matrix at the head, its bias) as copies of (table, bias)
_TIED = {
    "bert": ("cls.predictions.decoder", "cls.predictions.bias"),
    "ernie": ("cls.predictions.decoder", "cls.predictions.bias"),
    "megatron-bert": ("cls.predictions.decoder", "cls.predictions.bias"),
    "roberta": ("lm_head.decoder", "lm_head.bias"),
    "albert": ("predictions.decoder", "predictions.bias"),
}
_PAIR_HEADS = {
    **dict.fromkeys(("bert", "ernie", "megatron-bert"), "cls.seq_relationship.weight"),
    "albert": "sop_classifier.classifier.weight",
}


# A tensor of the head that tells masked tokens, which ...ForQuestionAnswering and
# ...ForSequenceClassification have not.
_MASKED = {
    **dict.fromkeys(("bert", "ernie", "megatron-bert"), "cls.predictions.transform.dense.weight"),
    "roberta": "lm_head.dense.weight",
    "albert": "predictions.dense.weight",
    "distilbert": "vocab_transform.weight",
    "electra": "generator_lm_head.bias",
}
# The last layer of ...ForSequenceClassification, and what that class pools by where it is not tanh.
_CLASSIFIERS = {
    **dict.fromkeys(
        ("bert", "ernie", "megatron-bert", "albert", "distilbert"), "classifier.weight"
    ),
    **dict.fromkeys(("roberta", "electra"), "classifier.out_proj.weight"),
}
_POOLERS = {"distilbert": "relu", "electra": "gelu"}
_SPANS, _REPLACED = "qa_outputs.weight", "discriminator_predictions.dense.weight"


def prefix(family: str) -> str:
    """What the names of a family's stack begin with where a head stands beside it."""
    return "bert" if family == "megatron-bert" else family


def renames(family: str) -> tuple[tuple[str, str], ...]:
    """Returns (pattern in a name, what stands there now): older names, and those of ...Model alone."""
    parts = r"^(?=(embeddings|embeddings_project|encoder|transformer|pooler)\.)"
    return (*_RENAMES, (parts, f"{prefix(family)}."))


def architecture(
    family: str, config: dict, tensors: dict[str, StoredTensor], where: str
) -> Architecture:
    """Returns the axes of a model from its config.json; which heads it has, from its tensors.

    Raises: UserError naming the key.
    """
    plain(config, where, {"position_embedding_type": "absolute", "is_decoder": False})
    plain(config, where, {"tie_word_embeddings": True, "add_cross_attention": False})
    if family == "distilbert":
        plain(config, where, {"sinusoidal_pos_embds": False})
        shape = [positive(config, key, where) for key in ("n_layers", "dim", "n_heads")]
        d_ff, act = positive(config, "hidden_dim", where), "activation"
    else:
        keys = ("num_hidden_layers", "hidden_size", "num_attention_heads")
        shape = [positive(config, key, where) for key in keys]
        d_ff, act = positive(config, "intermediate_size", where), "hidden_act"
    if shape[1] % shape[2]:
        raise UserError(f"{where}: {shape[2]} heads do not divide hidden_size {shape[1]}")
    activation = one_of(config, act, where, _ACTIVATIONS, _DEFAULT_ACTIVATION.get(family, "gelu"))
    axes: dict = {
        "vocab_size": padded(positive(config, "vocab_size", where)),
        "d_ff": d_ff,
        "activation": activation,
        "learned_positions": positive(config, "max_position_embeddings", where),
        "norm_epsilon": config.get("layer_norm_eps", _EPSILON.get(family, 1e-12)),
        "dropout": config.get("hidden_dropout_prob", config.get("dropout", 0.1)),
        "token_types": positive(config, "type_vocab_size", where, 2),
        "pair_classes": 0,
        "pooler_activation": _POOLERS.get(family, "tanh"),
    }
    # No class of theirs tells labels beside the words of pre-training.
    alone = _MASKED[family] not in tensors and _REPLACED not in tensors
    classes = tensors.get(_CLASSIFIERS[family]) if alone else None
    pair = tensors.get(_PAIR_HEADS.get(family, ""), classes)
    if pair is not None:
        axes["pair_classes"] = pair.shape[0]
    if (spans := tensors.get(_SPANS)) is not None:
        axes["token_classes"] = spans.shape[0]
    tuned = (spans or classes) is not None and _MASKED[family] not in tensors
    if tuned or bare(tensors, prefix(family)):
        axes |= {"head": "vocabulary", "vocabulary_bias": False}
    axes |= _own_axes(family, config, tensors, where, shape[1])
    arch = bert.encoder(*shape, **axes)
    arch.check(where)
    return arch


def _own_axes(family: str, config: dict, tensors, where: str, d_model: int) -> dict:
    """What a family has of its own."""
    match family:
        case "roberta":
            padding = config.get("pad_token_id", 1)
            if not isinstance(padding, int) or padding < 0:
                raise UserError(
                    f"{where}: pad_token_id is {padding!r}, before which no position is"
                )
            return {"first_position": padding + 1}
        case "distilbert":
            return {"token_types": 0, "norm_epsilon": 1e-12}
        case "albert":
            plain(config, where, {"inner_group_num": 1})
            groups = config.get("num_hidden_groups", 1)
            return {"d_embedding": config.get("embedding_size", 128), "layer_groups": groups}
        case "electra":
            width = config.get("embedding_size", 128)
            narrow = {"d_embedding": width if width != d_model else 0}
            tuned = _SPANS in tensors or _CLASSIFIERS[family] in tensors
            tuned |= bare(tensors, family)
            if _MASKED[family] in tensors or (tuned and _REPLACED not in tensors):
                return narrow
            return {**narrow, "head": "replaced", "vocabulary_bias": False}
        case "ernie":
            tasks = config.get("task_type_vocab_size", 3) if config.get("use_task_id") else 0
            return {"task_types": tasks}
        case "megatron-bert":
            return {"norm_place": "before", "embedding_norm": False}
    return {}


def config(family: str, arch: Architecture, dtype: str) -> dict:
    """Returns the content of config.json. Raises: UserError where their class has no such axis."""
    heads = "PreTraining" if arch.pair_classes or arch.head == "replaced" else "MaskedLM"
    heads = "SequenceClassification" if bert.classifies(arch) else heads
    heads = "QuestionAnswering" if arch.token_classes == 2 else heads
    content: dict = {
        "architectures": [f"{_CLASSES[family]}For{heads}"],
        "model_type": family,
        "vocab_size": arch.vocab_size,
        "max_position_embeddings": arch.learned_positions,
        "tie_word_embeddings": True,
        "dtype": dtype,
    }
    if family == "distilbert":
        content |= {
            "dim": arch.d_model,
            "n_heads": arch.heads,
            "n_layers": arch.encoder_layers,
            "hidden_dim": arch.d_ff,
            "activation": _NAMES[arch.activation],
            "dropout": arch.dropout,
            "attention_dropout": arch.dropout,
        }
    else:
        content |= {
            "hidden_size": arch.d_model,
            "num_attention_heads": arch.heads,
            "num_hidden_layers": arch.encoder_layers,
            "intermediate_size": arch.d_ff,
            "hidden_act": _NAMES[arch.activation],
            "type_vocab_size": arch.token_types,
            "layer_norm_eps": arch.norm_epsilon,
            "hidden_dropout_prob": arch.dropout,
            "attention_probs_dropout_prob": arch.dropout,
        }
    if family == "roberta":
        first = arch.first_position - 1
        content |= {"pad_token_id": first, "bos_token_id": 0, "eos_token_id": 2}
    if family == "albert":
        groups = arch.layer_groups or arch.encoder_layers
        content |= {"embedding_size": arch.d_embedding, "num_hidden_groups": groups}
        content |= {"inner_group_num": 1}
    if family == "electra":
        content |= {"embedding_size": arch.embedding_width}
    if family == "ernie":
        content |= {"use_task_id": bool(arch.task_types)}
        content |= {"task_type_vocab_size": arch.task_types or 3}
    marks: dict = {}
    if arch.token_classes == 2:
        marks[_SPANS] = StoredTensor((2, arch.d_model), None, None)
    if arch.pair_classes:
        name = _CLASSIFIERS[family]
        name = name if bert.classifies(arch) else _PAIR_HEADS.get(family, name)
        marks[name] = StoredTensor((arch.pair_classes, arch.d_model), None, None)
    if arch.head != "vocabulary":
        marks[_MASKED[family] if arch.head == "masked" else _REPLACED] = None
    same(arch, architecture(family, content, marks, "config.json"), family)
    return content


def copies(family: str, arch: Architecture) -> dict[str, str]:
    """Returns the tensors that a file may hold twice: a copy's name and the name of what it equals."""
    table = f"{prefix(family)}.embeddings.word_embeddings.weight"
    if arch.head == "replaced":
        return {}
    if family == "distilbert":
        return {"vocab_projector.weight": table}
    if family == "electra":
        return {"generator_lm_head.weight": table}
    head, bias = _TIED[family]
    return {f"{head}.weight": table, f"{head}.bias": bias}


def family_of(arch: Architecture) -> str:
    """Returns the class of theirs that computes what an encoder alone does."""
    if arch.head == "replaced":
        return "electra"
    if arch.d_embedding:
        return "albert" if arch.layer_groups else "electra"
    if arch.norm_place == "before":
        return "megatron-bert"
    if arch.pair_classes and arch.pooler_activation == "gelu":
        return "electra"
    if arch.first_position:
        return "roberta"
    if not arch.token_types:
        return "distilbert"
    return "ernie" if arch.task_types or arch.token_types > 2 else "bert"
