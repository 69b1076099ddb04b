"""The trained model that a run's model learns to predict like, and how much of its loss that is."""

import dataclasses
import math
from typing import TypeAlias

from t2t.errors import UserError
from t2t.models.architecture import Architecture
from t2t.training.initial_config import FromHuggingFace, FromRun

Source: TypeAlias = FromRun | FromHuggingFace


@dataclasses.dataclass(frozen=True)
class Teacher:
    """Distillation from a frozen masked language model (DistilBERT, arXiv:1910.01108, section 3).

    model: the teacher, which must be what `source` holds; its dropout is never used. The loss is, each
    a mean, divergence_weight times temperature^2 KL(teacher || model), both distributions softened by
    the temperature, of all tokens; masked_weight times the cross-entropy of the predictions; and
    cosine_weight times 1 - cos of both last hidden states, of all tokens (DistilBERT: 5, 2, 1).
    The teacher is in no checkpoint: every start reads it again, and a resumed run refuses another.
    """

    model: Architecture
    source: Source
    temperature: float = 2.0
    divergence_weight: float = 5.0
    masked_weight: float = 2.0
    cosine_weight: float = 1.0

    def check(self, where: str) -> None:
        self.model.check(f"{where}.model")
        self.source.check(f"{where}.source")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UserError(f"{where}.temperature: {self.temperature} is not positive")
        weights = ("divergence_weight", "masked_weight", "cosine_weight")
        for key in weights:
            if not (math.isfinite(getattr(self, key)) and getattr(self, key) >= 0):
                raise UserError(f"{where}.{key}: {getattr(self, key)} is negative")
        if not any(getattr(self, key) for key in weights):
            raise UserError(f"{where}.{weights[0]}: with all weights 0 there is no loss")
