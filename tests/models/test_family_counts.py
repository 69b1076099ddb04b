"""Every published size of the other families, to the unit, from abstract shapes (no memory)."""

import math

import jax
import pytest

from t2t.models.families import (
    albert,
    bert,
    distilbert,
    electra,
    ernie,
    gpt2,
    gpt3,
    llama,
    megatron_bert,
    megatron_gpt,
    roberta,
    switch,
    t5gemma,
    turing_nlg,
    xlnet,
)
from t2t.models.transformer import build

GPT2, BERT = gpt2.VOCABULARY, bert.VOCABULARY
# What is no part of "the encoder with its pooler", by which some are counted.
HEADS = ("masked_head", "vocabulary_bias", "classifier")
CASES = [
    (gpt2.architecture, "small", GPT2, 124_439_808, ()),
    (gpt2.architecture, "medium", GPT2, 354_823_168, ()),
    (gpt2.architecture, "large", GPT2, 774_030_080, ()),
    (gpt2.architecture, "xl", GPT2, 1_557_611_200, ()),
    (gpt3.architecture, "small", GPT2, 125_226_240, ()),
    (gpt3.architecture, "6.7b", GPT2, 6_658_404_352, ()),
    (gpt3.architecture, "13b", GPT2, 12_853_386_240, ()),
    (gpt3.architecture, "175b", GPT2, 174_604_259_328, ()),
    (megatron_gpt.architecture, "355m", 51200, 355_788_800, ()),
    (megatron_gpt.architecture, "2.5b", 51200, 2_490_408_960, ()),
    (megatron_gpt.architecture, "8.3b", 51200, 8_317_040_640, ()),
    (turing_nlg.architecture, "17b", 51200, 17_180_859_136, ()),
    (llama.architecture, "7b", 32000, 6_738_415_616, ()),
    (llama.architecture, "13b", 32000, 13_015_864_320, ()),
    (llama.architecture, "65b", 32000, 65_285_660_672, ()),
    (llama.architecture, "3-8b", 128256, 8_030_261_248, ()),
    (bert.architecture, "tiny", BERT, 4_433_468, ()),
    (bert.architecture, "base", BERT, 110_106_428, ()),
    (bert.architecture, "base", BERT, 109_482_240, HEADS),
    (bert.architecture, "large", BERT, 336_226_108, ()),
    (bert.architecture, "large", BERT, 335_141_888, HEADS),
    (roberta.architecture, "base", roberta.VOCABULARY, 124_697_433, ()),
    (roberta.architecture, "large", roberta.VOCABULARY, 355_412_057, ()),
    (albert.architecture, "base", albert.VOCABULARY, 11_683_584, HEADS),
    (albert.architecture, "large", albert.VOCABULARY, 17_683_968, HEADS),
    (albert.architecture, "xlarge", albert.VOCABULARY, 58_724_864, HEADS),
    (albert.architecture, "xxlarge", albert.VOCABULARY, 222_595_584, HEADS),
    (distilbert.architecture, "base", BERT, 66_985_530, ()),
    (distilbert.architecture, "base", BERT, 66_362_880, HEADS),
    (electra.architecture, "small", BERT, 13_549_057, ()),
    (electra.generator, "small", BERT, 4_620_026, ()),
    (electra.architecture, "base", BERT, 109_483_009, ()),
    (electra.generator, "base", BERT, 33_740_602, ()),
    (electra.architecture, "large", BERT, 335_142_913, ()),
    (electra.generator, "large", BERT, 51_295_290, ()),
    (ernie.architecture, "1.0-zh", 18000, 99_866_112, HEADS),
    (ernie.architecture, "2.0-base", BERT, 109_483_776, HEADS),
    (megatron_bert.architecture, "345m", 29056, 334_723_458, ()),
    (megatron_bert.architecture, "1.3b", 29056, 1_277_591_938, ()),
    (megatron_bert.architecture, "3.9b", 29056, 3_865_326_978, ()),
    (switch.architecture, "base-8", 32128, 619_339_008, ()),
    (switch.architecture, "base-16", 32128, 1_072_397_568, ()),
    (switch.architecture, "base-32", 32128, 1_978_514_688, ()),
    (switch.architecture, "base-64", 32128, 3_790_748_928, ()),
    (switch.architecture, "base-128", 32128, 7_415_217_408, ()),
    (switch.architecture, "base-256", 32128, 14_664_154_368, ()),
    (t5gemma.architecture, "2b-2b", 256000, 5_596_853_760, ()),
    (t5gemma.architecture, "9b-9b", 256000, 20_333_401_088, ()),
    (xlnet.architecture, "base", xlnet.VOCABULARY, 116_750_336, ()),
    (xlnet.architecture, "large", xlnet.VOCABULARY, 360_300_800, ()),
]


@pytest.mark.parametrize("family, size, vocabulary, published, without", CASES)
def test_count_equals_the_published_one(family, size, vocabulary, published, without):
    # The published vocabulary, which models that train here pad.
    leaves = jax.tree_util.tree_leaves_with_path(build(family(size, vocab_size=vocabulary)).shapes)
    counted = [
        math.prod(leaf.shape)
        for path, leaf in leaves
        if not any(part in jax.tree_util.keystr(path) for part in without)
    ]
    assert sum(counted) == published


@pytest.mark.parametrize("family, size", dict.fromkeys(case[:2] for case in CASES))
def test_the_value_is_sound(family, size):
    family(size).check("config.model")
