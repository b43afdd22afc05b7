"""Hiding tokens: which, how many, and whose."""

import pytest
import torch
from tokenizers import Tokenizer, models

from pointsman.core.errors import ConfigError
from pointsman.data.encode import TextEncoder
from pointsman.pipeline.steps import masking
from pointsman.training.masking import TokenMasking

PAD, CLS, MASK = 0, 1, 4


def hide(ids, rates, owners=None):
    torch.manual_seed(0)
    return TokenMasking(MASK, [PAD, CLS, MASK], rates)(ids, owners)


def test_the_given_share_is_hidden_and_nothing_special():
    ids = torch.randint(5, 1000, (200, 100))
    ids[:, 0], ids[:, 90:] = CLS, PAD
    hidden = hide(ids, [0.2])
    changed = hidden != ids
    assert not changed[:, 0].any() and not changed[:, 90:].any()
    assert (hidden[changed] == MASK).all()
    assert changed[:, 1:90].float().mean() == pytest.approx(0.2, abs=0.01)


def test_every_head_has_its_own_rate():
    ids = torch.full((400, 50), 7)
    owners = torch.arange(400) % 2
    changed = hide(ids, [0.0, 0.5], owners) != ids
    assert not changed[owners == 0].any()
    assert changed[owners == 1].float().mean() == pytest.approx(0.5, abs=0.02)


def test_the_batch_itself_stays_as_it_was():
    ids = torch.full((8, 8), 7)
    hide(ids, [0.9])
    assert (ids == 7).all()


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_the_mask_token_of_each_family_is_found(backbones, family):
    encoder = TextEncoder.from_directory(backbones[family], max_length=64)
    assert masking(encoder, [0.0, 0.0]) is None
    hidden = masking(encoder, [0.5])
    specials = set(encoder.special_ids())
    assert encoder.mask_id() in specials
    row = torch.as_tensor(encoder.encode(["solve the integral"])[0][0].input_ids)
    torch.manual_seed(1)
    seen = {int(x) for _ in range(50) for x in hidden(row[None])[0]}
    assert encoder.mask_id() in seen and specials & set(row.tolist()) <= seen


def test_a_tokenizer_without_a_mask_token_is_refused():
    words = {"a": 0, "b": 1, "[UNK]": 2}
    encoder = TextEncoder(Tokenizer(models.WordLevel(words, "[UNK]")), max_length=16)
    with pytest.raises(ConfigError, match="a mask token"):
        masking(encoder, [0.1])
