"""Exact matrix-product FLOPs of a model, device peaks, and model FLOPs utilisation.

Counted: every matrix product, two FLOPs a multiply-add. Not counted: embedding look-up, norms,
softmax, activations, optimizer. A backward pass is two forward ones; recomputation under remat is
not model work and never counts.
"""

from t2t.models.architecture import Architecture


def forward_flops(
    arch: Architecture, inputs: int, targets: int, rows: int = 1, memory: int = 0
) -> int:
    """FLOPs of one forward pass of `rows` sequences of `inputs` and `targets` tokens.

    A decoder alone reads its targets; an encoder alone predicts `targets` of its inputs.
    Attention counts the whole rectangle of queries and keys, masked or not, but for layers with a
    window shorter than the row: those count the pairs inside it. Of experts each token counts one,
    and the router. With relative attention the targets are a stream of queries of their own; memory:
    keys before the inputs.
    """
    inner, shared = arch.heads * arch.head_dim, arch.key_heads * arch.head_dim

    def attention(queries: int, keys: int, pairs: int) -> int:
        projections = 4 * queries * arch.d_model * inner + 4 * keys * arch.d_model * shared
        return projections + 4 * pairs * inner

    def feed_forward(tokens: int) -> int:
        return 2 * tokens * arch.d_model * arch.d_ff * (3 if arch.gated else 2)

    def stack(layers: int, tokens: int, decoder: bool) -> int:
        one = attention(tokens, tokens, 0) + feed_forward(tokens)
        if decoder and arch.encoder_layers:
            one += attention(tokens, inputs, tokens * inputs)
        whole = layers // arch.window_every if arch.window else layers
        pairs = whole * tokens**2 + (layers - whole) * pairs_in_window(tokens, arch.window, decoder)
        routed = layers // arch.expert_every if arch.experts else 0
        return layers * one + 4 * pairs * inner + routed * 2 * tokens * arch.d_model * arch.experts

    def relative(queries: int) -> int:
        keys, distances = inputs + memory, 2 * inputs + memory
        projections = 4 * queries * arch.d_model * inner
        return projections + 4 * queries * keys * inner + 2 * queries * distances * inner

    def two_streams() -> int:
        # Keys and values of all tokens; then contents and queries.
        shared = 4 * (inputs + memory) * arch.d_model * inner
        return shared + sum(relative(n) + feed_forward(n) for n in (inputs, targets))

    embedding = 0
    if arch.d_embedding:
        embedding = (
            2 * (inputs if arch.encoder_layers else targets) * arch.d_embedding * arch.d_model
        )
    if arch.head == "replaced":  # of every token
        head = 2 * inputs * arch.d_model * (arch.d_model + 1)
    else:
        head = 2 * targets * arch.embedding_width * arch.vocab_size
    if arch.head == "masked":
        head += 2 * targets * arch.d_model * arch.embedding_width
    of_all_rows = 0
    if arch.relative_attention:
        stacks = arch.encoder_layers * two_streams()
        # A key of each distance.
        of_all_rows = arch.encoder_layers * 2 * (2 * inputs + memory) * arch.d_model * inner
    else:
        stacks = stack(arch.encoder_layers, inputs, False)
        stacks += stack(arch.decoder_layers, targets, True)
    return rows * (embedding + stacks + head) + of_all_rows


def pairs_in_window(tokens: int, window: int, decoder: bool) -> int:
    """Pairs of queries and keys of a row that a layer with a window looks at (0: it has none)."""
    if not window or window >= tokens:
        return tokens**2
    if decoder:  # `window` tokens back, the query's own counted
        return tokens * window - window * (window - 1) // 2
    return tokens * (2 * window + 1) - window * (window + 1)


def train_flops(
    arch: Architecture, inputs: int, targets: int, rows: int = 1, memory: int = 0
) -> int:
    """FLOPs of one training step: forward and backward of all rows."""
    return 3 * forward_flops(arch, inputs, targets, rows, memory)


def run_flops(run, inputs: int, targets: int, rows: int = 1) -> int:
    """FLOPs of one training step of all the networks of a run, a teacher's forward pass among them.

    A student and its teacher predict every token of the input.
    """
    if run.teacher is not None:
        student = train_flops(run.model, inputs, inputs, rows)
        return student + forward_flops(run.teacher.model, inputs, inputs, rows)
    networks, memory = filter(None, (run.model, run.generator)), run.objective.memory
    return sum(train_flops(arch, inputs, targets, rows, memory) for arch in networks)


# Dense bfloat16 FLOP/s of one jax device, by its `device_kind`. A jax device is one of two cores
# on TPU v2, v3 and 7x, a whole chip on all others. Cloud TPU documentation; NVIDIA data sheets
# without sparsity.
_PEAK = {
    "TPU v2": 46e12 / 2,
    "TPU v3": 123e12 / 2,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "TPU7x": 2307e12 / 2,
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100-PCIE-40GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H200": 989e12,
    "NVIDIA B200": 2250e12,
    "NVIDIA GB200": 2500e12,
}


def peak_flops(device_kind: str) -> float | None:
    """Dense bfloat16 FLOP/s of one device, or None when this kind is not known."""
    return _PEAK.get(device_kind)


def mfu(model_flops: float, seconds: float, devices: int, device_kind: str) -> float | None:
    """Model FLOPs utilisation in [0, 1]: work done over what the devices could do in the time.

    None where the peak is unknown (a CPU, a new chip): no figure is better than a wrong one.
    """
    peak = peak_flops(device_kind)
    return None if peak is None else model_flops / (seconds * devices * peak)
