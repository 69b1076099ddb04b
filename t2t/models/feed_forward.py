"""The position-wise feed-forward network, gated or not."""

import jax
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.dropout import dropout, shared_axes
from t2t.models.initialization import initializer, residual_initializer
from t2t.models.parameters import Constrain, Declare, Linear, fan_in_truncated

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "silu": jax.nn.silu,
}


class FeedForward(nnx.Module):
    """act(x W_i) W_o, or (act(x W_i0) * x W_i1) W_o when gated (GLU variants, arXiv:2002.05202)."""

    def __init__(self, arch: Architecture, declare: Declare, constrain: Constrain):
        first = initializer(arch, fan_in_truncated)

        def linear(inputs, outputs, axes, init):
            return Linear(declare, init, (inputs, outputs), axes, arch.dtype, arch.biases)

        self.gated = arch.gated
        self.activation = arch.activation
        self.rate = arch.dropout
        self.constrain = constrain
        if arch.gated:
            self.wi_0 = linear(arch.d_model, arch.d_ff, ("embed", "mlp"), first)
            self.wi_1 = linear(arch.d_model, arch.d_ff, ("embed", "mlp"), first)
        else:
            self.wi = linear(arch.d_model, arch.d_ff, ("embed", "mlp"), first)
        last = residual_initializer(arch, fan_in_truncated)
        self.wo = linear(arch.d_ff, arch.d_model, ("mlp", "embed"), last)
        self.shared_axes = shared_axes(arch)

    def __call__(self, x: jax.Array, dropout_key: jax.Array | None = None) -> jax.Array:
        activation = ACTIVATIONS[self.activation]
        if self.gated:
            hidden = activation(self.wi_0(x, dropout_key)) * self.wi_1(x, dropout_key)
        else:
            hidden = activation(self.wi(x, dropout_key))
        hidden = self.constrain(hidden, ("batch", "length", "mlp"))
        return self.wo(
            dropout(hidden, self.rate, dropout_key, shared_axes=self.shared_axes), dropout_key
        )
