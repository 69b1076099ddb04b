"""Lengths of rows that a configuration may ask for."""

from t2t.errors import UserError


def check_length(value: int, where: str, least: int = 4) -> None:
    """Raises UserError unless `value` is in least..2^20."""
    if not least <= value <= 1 << 20:
        raise UserError(f"{where}: {value} is not in {least}..2^20")
