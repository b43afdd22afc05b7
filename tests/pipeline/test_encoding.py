"""Encoded splits: how often a source's rows are drawn."""

import pytest

from pointsman.pipeline.encoding import Encoded, row_weights
from pointsman.training.rows import Row

ROWS = [Row([1], 0, "large")] * 90 + [Row([1], 0, "small")] * 10


@pytest.mark.parametrize(("power", "small"), [(0.0, 0.5), (0.5, 0.25), (0.999999, 0.1)])
def test_the_share_of_a_source_is_its_rows_to_a_power(power, small):
    weights = row_weights(Encoded([], [], ROWS, {}), power)
    assert sum(weights[90:]) / sum(weights) == pytest.approx(small, abs=1e-4)


def test_a_power_of_one_changes_nothing():
    assert row_weights(Encoded([], [], ROWS, {}), 1.0) is None
