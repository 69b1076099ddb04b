"""GPT-3's shapes (Brown et al. 2020, table 2.1), dense in all layers.

Every other layer of theirs is "locally banded sparse", of a band that is not published: `window` and
`window_every` (t2t.models.architecture) make such layers, and no size sets them. Its weights are not
public.
"""

from t2t.models.architecture import Architecture
from t2t.models.families import gpt2
from t2t.models.families.t5 import size_of

# size -> (layers, d_model, heads, head_dim). The paper's 2.7B and 13B name widths that their heads do
# not divide (5140); these are those whose sum is the name.
SIZES = {
    "small": (12, 768, 12, 64),
    "medium": (24, 1024, 16, 64),
    "large": (24, 1536, 16, 96),
    "xl": (24, 2048, 16, 128),
    "2.7b": (32, 2560, 32, 80),
    "6.7b": (32, 4096, 32, 128),
    "13b": (40, 5120, 40, 128),
    "175b": (96, 12288, 96, 128),
}


def architecture(size: str, **changes) -> Architecture:
    """2,048 positions; no dropout."""
    layers, d_model, heads, head_dim = size_of(SIZES, "gpt3", size)
    axes = {"head_dim": head_dim, "learned_positions": 2048, "dropout": 0.0}
    return gpt2.decoder(layers, d_model, heads, **{**axes, **changes})
