"""How training inputs are made noisier than the objective leaves them."""

from dataclasses import dataclass

from t2t.errors import UserError


@dataclass(frozen=True)
class Augmentation:
    """Noise on what the network reads while it trains; what it is to write stays as it is.

    token_dropout: share of ordinary tokens that become the unknown token (word dropout, Iyyer et al.
    2015; Bowman et al. 2016, section 3). span_replacement: share that lies in spans, of geometric
    length with mean `mean_span_length`, whose tokens become others drawn evenly from the vocabulary
    (SwitchOut's distribution, Wang et al. 2018, on spans). Never touched are padding, end of
    sequence, sentinels and other special tokens, and held-out rows.
    """

    token_dropout: float = 0.0
    span_replacement: float = 0.0
    mean_span_length: float = 3.0

    def check(self, where: str) -> None:
        for key in ("token_dropout", "span_replacement"):
            if not 0 <= getattr(self, key) < 1:
                raise UserError(f"{where}.{key}: {getattr(self, key)} is not in [0, 1)")
        if not 1 <= self.mean_span_length <= 1000:
            raise UserError(f"{where}.mean_span_length: {self.mean_span_length} is not in 1..1000")

    @property
    def changes(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.token_dropout or self.span_replacement)
