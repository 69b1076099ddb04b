"""How the tokenizer of an encoder alone frames texts (t2t.objectives.framing), in the words of Hugging Face's
tokenizer.json and tokenizer_config.json: tokenizer(a, b) of theirs is then what the model was trained on."""

import json

from t2t.data.subword_tokenizer import SubwordTokenizer
from t2t.models.architecture import ENCODER, Architecture
from t2t.objectives.framing import LAST_TYPE


def framing_settings(tokenizer: SubwordTokenizer, arch: Architecture) -> dict:
    """Returns what tokenizer_config.json says of how a model reads texts; nothing of one that writes."""
    if not _frames(tokenizer, arch):
        return {}
    types = ["token_type_ids"] * _has_types(tokenizer, arch)
    names = ["input_ids", *types, "attention_mask"]
    # A [CLS] that stands last is found there: padding stands before the text.
    return {"model_input_names": names, **({"padding_side": "left"} if arch.summary_last else {})}


def with_template(tokenizer: SubwordTokenizer, arch: Architecture) -> str:
    """Returns the tokenizer.json with what frames one text and two, where it does not say so itself."""
    content = json.loads(tokenizer.content)
    if content.get("post_processor") is not None or not _frames(tokenizer, arch):
        return tokenizer.content
    facts, names = tokenizer.vocabulary, tokenizer.tokens_named()
    cls, sep = names["cls_token"], names["sep_token"]
    second = int(_has_types(tokenizer, arch))

    def special(name: str, kind: int) -> dict:
        return {"SpecialToken": {"id": name, "type_id": kind}}

    def framed(*texts: list[dict]) -> list[dict]:
        pieces = [piece for text in texts for piece in text]
        summary = special(cls, LAST_TYPE if arch.summary_last else 0)
        return [*pieces, summary] if arch.summary_last else [summary, *pieces]

    def text(name: str, kind: int, separators: int = 1) -> list[dict]:
        return [{"Sequence": {"id": name, "type_id": kind}}, *[special(sep, kind)] * separators]

    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": framed(text("A", 0)),
        "pair": framed(text("A", 0, facts.separators), text("B", second)),
        "special_tokens": {
            name: {"id": name, "ids": [index], "tokens": [name]}
            for name, index in ((cls, facts.cls_id), (sep, facts.sep_id))
        },
    }
    return json.dumps(content)


def _frames(tokenizer: SubwordTokenizer, arch: Architecture) -> bool:
    facts = tokenizer.vocabulary
    return arch.stacks == ENCODER and None not in (facts.cls_id, facts.sep_id)


def _has_types(tokenizer: SubwordTokenizer, arch: Architecture) -> bool:
    """Whether a second text is of another type."""
    return arch.summary_last or (arch.token_types > 1 and tokenizer.vocabulary.separators == 1)
