"""Each token of a long text counts once, where it has most context."""

import numpy as np
import pytest

from pointsman.data.encode import TextEncoder
from pointsman.runtime.windows import merge_tokens, softmax
from tests.conftest import make_tokenizer

TEXT = "solve the integral and call Sarah Johnson now please " * 6


@pytest.mark.parametrize(("longest", "overlap"), [(16, 3), (16, 4), (33, 7), (64, 16)])
def test_each_token_is_taken_once_from_the_window_that_holds_it_deepest(longest, overlap):
    encoder = TextEncoder(make_tokenizer("bert"), max_length=longest, overlap=overlap)
    windows = encoder.encode([TEXT])[0]
    assert len(windows) >= 2
    depths = []
    best = {}
    for number, window in enumerate(windows):
        size = len(window.offsets)
        left = [size if number == 0 else i for i in range(size)]  # a text's ends are no edges
        right = [size if number == len(windows) - 1 else size - 1 - i for i in range(size)]
        depth = np.minimum(left, right)
        depths.append(depth.astype(np.float32)[:, None])
        for i, value in enumerate(depth):
            best[window.first + i] = max(best.get(window.first + i, 0), int(value))
    merged, offsets = merge_tokens(depths, windows)
    whole = TextEncoder(make_tokenizer("bert"), max_length=4096).encode([TEXT])[0][0]
    assert offsets == whole.offsets and len(merged) == len(offsets)
    chosen = merged[:, 0].astype(int)
    assert all(best[i] - 1 <= chosen[i] <= best[i] for i in range(len(best)))  # ties may fall short


def test_softmax_is_stable_and_sums_to_one():
    rows = softmax(np.asarray([[1000.0, 1000.0], [-1000.0, 0.0], [0.0, 1.0]], dtype=np.float32))
    assert rows.sum(-1) == pytest.approx([1, 1, 1])
    assert rows[0].tolist() == [0.5, 0.5] and rows[2, 1] == pytest.approx(np.e / (1 + np.e))
