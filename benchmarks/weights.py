"""One set of random weights for t2t and for `transformers`."""

import numpy as np


def write(path: str, arch, params) -> None:
    """Writes parameters as an .npz of tensors under the names and in the layout of Hugging Face."""
    import jax

    from t2t.models.families import t5_1_1

    params = jax.device_get(params)
    tensors = {}
    for weight in t5_1_1.huggingface_weights(arch):
        leaf = params
        for part in weight.path:
            leaf = leaf[part]
        leaf = leaf if weight.layer is None else leaf[weight.layer]
        tensors[weight.name] = leaf.T if weight.transposed else leaf
    np.savez(path, **tensors)


def transformers_model(path: str, arch):
    """Returns `transformers`' T5 v1.1 of the same sizes with these weights, without dropout."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    model = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=arch.vocab_size,
            d_model=arch.d_model,
            d_kv=arch.head_dim,
            d_ff=arch.d_ff,
            num_layers=arch.encoder_layers,
            num_decoder_layers=arch.decoder_layers,
            num_heads=arch.heads,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            decoder_start_token_id=0,
        )
    )
    # transformers 5 ties every T5 it creates; v1.1 has a head of its own and does not scale.
    model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.shared.weight))
    model.config.scale_decoder_outputs = False
    with np.load(path) as tensors:
        missing, unexpected = model.load_state_dict(
            {name: torch.tensor(tensors[name]) for name in tensors.files}, strict=False
        )
    assert not unexpected and all("embed_tokens" in name for name in missing), missing
    return model
