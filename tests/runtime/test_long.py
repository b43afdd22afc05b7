"""Long texts: nothing is missed at any depth, and the cost is that of their length."""

import numpy as np
import pytest

from pointsman.bundle.meta import BundleMeta
from pointsman.data.encode import TextEncoder
from pointsman.runtime.predictor import TOKEN_BUDGET, Predictor
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.labels import model_labels
from pointsman.tasks.pii import PII
from tests.conftest import make_tokenizer
from tests.runtime.test_predictor import Words, with_words

FILLER = "please help me with the contract card system now".split()


def words(count):
    return [FILLER[n % len(FILLER)] for n in range(count)]


@pytest.mark.parametrize("place", [0, 3000, 4999])
def test_an_attack_is_found_at_word_3000(place):
    predictor = with_words(JAILBREAK, "void", 1)
    pieces = words(5000)
    pieces[place] = "void"
    calm, attacked = predictor.predict([" ".join(words(5000)), " ".join(pieces)])
    assert (calm.label, attacked.label) == ("benign", "jailbreak")


@pytest.mark.parametrize("place", [0, 3000, 4999])
def test_an_address_is_found_whole_at_word_3000(place):
    address = "sarah.j@example.org"
    hot = 1 + 2 * PII.labels.index("EMAIL_ADDRESS")
    predictor = with_words(PII, "example", hot)  # post-processing gives it the bounds it has
    pieces = words(5000)
    pieces[place] = address
    (prediction,) = predictor.predict([" ".join(pieces)])
    start = len(" ".join(pieces[:place])) + (place > 0)
    assert [(s.start, s.end, s.text) for s in prediction.spans] == [
        (start, start + len(address), address)
    ]


class Meter(Words):
    """Counts the padded tokens that it was asked to compute."""

    def __init__(self, *rest, **more):
        super().__init__(*rest, **more)
        self.tokens, self.largest = 0, 0

    def run(self, batch, heads):
        padded = len(batch) * max(map(len, batch))
        self.tokens += padded
        self.largest = max(self.largest, padded)
        shape = (len(batch), max(map(len, batch)), len(model_labels(PII)))
        return dict.fromkeys(heads, np.zeros(shape, dtype=np.float32))


def test_cost_grows_as_the_text_does_up_to_100_000_words():
    encoder = TextEncoder(make_tokenizer("bert"), max_length=512)
    spent = {}
    for count in (1_000, 10_000, 100_000):
        meter = Meter(encoder, 1, "void", 1, level="token")
        meta = BundleMeta(task=PII, labels=model_labels(PII), max_length=512)
        text = " ".join(words(count))
        (reading,) = Predictor(meta, encoder, meter).read([text])
        spent[count] = meter.tokens / reading.tokens
        assert meter.largest <= TOKEN_BUDGET  # memory does not grow with it at all
    # overlap costs an eighth, padding the last window's rest
    assert all(1 <= share < 1.6 for share in spent.values())
    assert abs(spent[100_000] / spent[10_000] - 1) < 0.1
