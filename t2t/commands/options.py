"""Arguments that several verbs take, and the readers of their values."""

import argparse

TOKENIZER_HELP = (
    "a vocabulary's file (SentencePiece, tokenizer.json, vocab.txt, vocab.json beside merges.txt), a "
    "folder that holds one, or `bytes`"
)
CONFIG_HELP = "a recipe: its name or its path, and :ARGUMENT where it takes one (t5_1_1:base)"


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds `--config`; `--config.FIELD=VALUE` is read before argparse (see t2t.cli)."""
    parser.add_argument("--config", required=True, metavar="NAME[:ARG]", help=CONFIG_HELP)


def at_least(least: int):
    """Returns an argparse type: an integer that is not under `least`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected an integer, got {text!r}") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
        return value

    return read
