"""T5X's names of T5's parameters, plain layers or scanned ones, and the axes that shapes tell.

Plain (t5x/examples/t5): `encoder/layers_0/attention/query/kernel` [embed, heads*kv], one
`encoder/relpos_bias/rel_embedding` [heads, buckets] a stack. Scanned (examples/scalable_t5, umT5):
`encoder/encoder/attention/query/kernel` [embed, layers, heads, kv], all layers in one array along
its second axis, and a bias in each.
"""

import re

from t2t.interop import stored_tensor as views
from t2t.interop.published import Path, Problems, parameter_shapes
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.architecture import Architecture

# --family: what no shape tells.
ACTIVATIONS = {
    "t5": "relu",
    "t5_1_1": "gelu_tanh",
    "mt5": "gelu_tanh",
    "umt5": "gelu_tanh",
    "byt5": "gelu_tanh",
    "ul2": "silu",
}
_PARTS = {
    "encoder": {"attention": "self_attention", "pre_attention_layer_norm": "pre_attention_norm"},
    "decoder": {
        "self_attention": "self_attention",
        "encoder_decoder_attention": "cross_attention",
        "pre_self_attention_layer_norm": "pre_attention_norm",
        "pre_cross_attention_layer_norm": "pre_cross_attention_norm",
    },
}


def architecture(tensors: dict[str, StoredTensor], family: str, where: str) -> Architecture:
    """Returns the axes of a T5 from its tensors, and the activation of `family` (a key above).

    Raises: UserError where tensors that tell the sizes are not there.
    """

    def shape(*names: str) -> tuple[int, ...]:
        for name in names:
            if name in tensors:
                return tensors[name].shape
        problems = Problems()
        problems.missing.append(names[0])
        return problems.refuse(where, "T5X's T5")

    scanned = "encoder/encoder/pre_mlp_layer_norm/scale" in tensors
    gated = any(name.endswith("/mlp/wi_0/kernel") for name in tensors)
    first = {s: f"{s}/{s}" if scanned else f"{s}/layers_0" for s in ("encoder", "decoder")}

    def layers(stack: str) -> int:
        if scanned:
            return shape(f"{stack}/{stack}/pre_mlp_layer_norm/scale")[1]
        numbers = (re.match(rf"{stack}/layers_(\d+)/", name) for name in tensors)
        return 1 + max((int(match[1]) for match in numbers if match), default=0)

    rows, width = shape("token_embedder/embedding")
    shared = "encoder/relpos_bias/rel_embedding"
    bias = shape(shared, f"{first['encoder']}/relpos_bias/rel_embedding")
    query = shape(f"{first['encoder']}/attention/query/kernel")
    inner = [*query[:1], *query[2:]] if scanned else query
    heads, head_axis = bias[0], len(inner) == 3
    arch = Architecture(
        vocab_size=-(-rows // 128) * 128,
        d_model=width,
        heads=heads,
        head_dim=inner[2] if head_axis else inner[1] // heads,
        d_ff=shape(f"{first['encoder']}/mlp/{'wi_0' if gated else 'wi'}/kernel")[-1],
        encoder_layers=layers("encoder"),
        decoder_layers=layers("decoder"),
        activation=ACTIVATIONS[family or ("t5_1_1" if gated else "t5")],
        gated=gated,
        relative_bias="shared" if shared in tensors else "per_layer",
        relative_buckets=bias[-1],
        tied_embedding="decoder/logits_dense/kernel" not in tensors,
        scaled_logits="decoder/logits_dense/kernel" not in tensors,
    )
    arch.check(where)
    return arch


def leaves_of(
    arch: Architecture, tensors: dict[str, StoredTensor], where: str
) -> dict[Path, StoredTensor]:
    """Returns our leaves as views of T5X's tensors, which must be those of `arch` and no others.

    Raises: UserError, one line, that lists by name what is missing, unknown, or of another shape.
    """
    problems, used, leaves = Problems(), set(), {}
    scanned = "encoder/encoder/pre_mlp_layer_norm/scale" in tensors

    def found(name: str) -> StoredTensor | None:
        used.add(name)
        if name not in tensors:
            problems.missing.append(name)
        return tensors.get(name)

    for path, shape in parameter_shapes(arch).items():
        stack, name = path[0], _name(path)
        if path[1] != "layers":
            tensor = found(name)
            if tensor is not None and name == "token_embedder/embedding":
                tensor = views.padded(tensor, 0, shape[0])
            elif tensor is not None and name == "decoder/logits_dense/kernel":
                tensor = views.padded(tensor, 1, shape[1])
            names = [name]
        elif scanned:
            names = [f"{stack}/{stack}/{name}"]
            tensor = found(names[0])
            if tensor is not None:
                tensor = views.axis_first(tensor, 1) if len(tensor.shape) > 1 else tensor
                tensor = _without_head_axis(path, tensor, 1)
        else:
            names = [f"{stack}/layers_{i}/{name}" for i in range(shape[0])]
            each = [found(n) for n in names]
            tensor = None
            if None not in each:
                each = [_without_head_axis(path, t, 0) for t in each]
                wrong = [(n, t) for n, t in zip(names, each, strict=True) if t.shape != shape[1:]]
                names = [n for n, _ in wrong] or names
                tensor = wrong[0][1] if wrong else views.stacked(each)
        if tensor is None:
            continue
        if tensor.shape != shape:
            due = list(shape if path[1] != "layers" or scanned else shape[1:])
            problems.misshapen += [f"{n} {list(tensors[n].shape)}, not {due}" for n in names]
            continue
        leaves[path] = tensor
    problems.unknown = sorted(set(tensors) - used)
    problems.refuse(where, "the T5 that its shapes tell of")
    return leaves


def _without_head_axis(path: Path, tensor: StoredTensor, before: int) -> StoredTensor:
    """Joins (heads, kv) where an attention's kernel has them as two axes."""
    if "attention" not in path[2] or path[-1] != "kernel" or len(tensor.shape) != before + 3:
        return tensor
    return views.merged_axes(tensor, before if path[-2] == "out" else before + 1)


def _name(path: Path) -> str:
    """Returns T5X's name for one of our parameters; of one in a layer, the part after the layer."""
    match path:
        case ("token_embedding", "table"):
            return "token_embedder/embedding"
        case ("lm_head", "kernel"):
            return "decoder/logits_dense/kernel"
        case (stack, "final_norm", "scale"):
            return f"{stack}/{stack}_norm/scale"
        case (stack, "relative_bias", "table"):
            return f"{stack}/relpos_bias/rel_embedding"
        case (_, "layers", "relative_bias", "table"):
            return "relpos_bias/rel_embedding"
        case (_, "layers", "pre_feed_forward_norm", "scale"):
            return "pre_mlp_layer_norm/scale"
        case (_, "layers", "feed_forward", matrix, "kernel"):
            return f"mlp/{matrix}/kernel"
        case (stack, "layers", part, *rest):
            names = {ours: theirs for theirs, ours in _PARTS[stack].items()}
            return "/".join((names[part], *rest))
    raise AssertionError(path)
