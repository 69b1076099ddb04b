"""Switch Transformer (arXiv:2101.03961): T5 v1.0 with a mixture of experts in every second layer."""

from dataclasses import replace

from t2t.models.architecture import Architecture
from t2t.models.families import t5
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight

# size -> experts; everything else is T5-base's
SIZES = {f"base-{count}": count for count in (8, 16, 32, 64, 128, 256)}
_ATTENTION = {"q": "query", "k": "key", "v": "value", "o": "out"}


def architecture(size: str, **changes) -> Architecture:
    """As the published checkpoints: 64 tokens of a row for each expert."""
    experts = size_of(SIZES, "switch", size)
    return replace(t5.architecture("base"), **{"experts": experts, **changes})


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of SwitchTransformersForConditionalGeneration without tied copies."""
    weights = [PublishedWeight("shared.weight", ("token_embedding", "table"))]
    if not arch.tied_embedding:
        weights.append(PublishedWeight("lm_head.weight", ("lm_head", "kernel"), transposed=True))
    sparse = min(1, arch.expert_every - 1)
    for stack, layers in (("encoder", arch.encoder_layers), ("decoder", arch.decoder_layers)):
        parts = [("self_attention", "SelfAttention", "pre_attention_norm")]
        if stack == "decoder":
            parts.append(("cross_attention", "EncDecAttention", "pre_cross_attention_norm"))
        for number in range(layers):
            layer, slot = divmod(number, arch.expert_every)

            def put(name, *path, expert=None, transposed=True, at=(stack, number, layer, slot)):
                stack, number, layer, slot = at
                weights.append(
                    PublishedWeight(
                        f"{stack}.block.{number}.layer.{name}.weight",
                        (stack, "layers", f"slot_{slot}", *path),
                        layer,
                        transposed,
                        expert=expert,
                    )
                )

            for i, (ours, theirs, norm) in enumerate(parts):
                for short, long in _ATTENTION.items():
                    put(f"{i}.{theirs}.{short}", ours, long, "kernel")
                put(f"{i}.layer_norm", norm, "scale", transposed=False)
            last = len(parts)
            put(f"{last}.layer_norm", "pre_feed_forward_norm", "scale", transposed=False)
            if slot != sparse:
                for name in ("wi", "wo"):
                    put(f"{last}.mlp.{name}", "feed_forward", name, "kernel")
                continue
            put(f"{last}.mlp.router.classifier", "feed_forward", "router")
            for expert in range(arch.experts):
                for name in ("wi", "wo"):
                    theirs = f"{last}.mlp.experts.expert_{expert}.{name}"
                    put(theirs, "feed_forward", name, expert=expert)
        name = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        weights.append(PublishedWeight(name, (stack, "relative_bias", "table"), transposed=True))
        name = f"{stack}.final_layer_norm.weight"
        weights.append(PublishedWeight(name, (stack, "final_norm", "scale")))
    return weights
