"""The one family of errors: three parts, one exit code a class."""

import pytest

from pointsman.core import errors

CODES = {
    errors.PointsmanError: 1,
    errors.ConfigError: 2,
    errors.SourceError: 3,
    errors.DataError: 4,
    errors.BundleError: 5,
    errors.TrainingError: 6,
    errors.StorageError: 7,
}


def test_every_class_has_its_own_exit_code():
    assert {cls: cls.exit_code for cls in CODES} == CODES
    assert errors.RowError.exit_code == errors.DataError.exit_code
    assert all(issubclass(cls, errors.PointsmanError) for cls in CODES)


def test_the_message_has_three_parts():
    error = errors.ConfigError("a number", got=["x"], fix="give one")
    assert str(error).splitlines() == ["a number", "  got: ['x']", "  do:  give one"]
    assert (error.needed, error.got, error.fix) == ("a number", "['x']", "give one")


@pytest.mark.parametrize("got", [0, False, ""])
def test_what_came_is_said_even_when_it_is_falsy(got):
    assert f"got: {got}" in str(errors.DataError("rows", got=got))


def test_parts_that_are_not_known_are_left_out():
    assert str(errors.DataError("rows")) == "rows"


def test_a_row_error_begins_with_its_place():
    error = errors.RowError("a.jsonl: row 7", "a label", got="nothing")
    assert str(error).startswith("a.jsonl: row 7: a label")
    assert error.where == "a.jsonl: row 7"
