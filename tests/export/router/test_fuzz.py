"""Whatever stands in a directory, the checker says which clause fails: it never raises."""

import json
import shutil
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.errors import PointsmanError
from pointsman.export.contract import verify_contract
from pointsman.export.slots import SLOTS

DEEP = 4000
RAW = (  # JSON as a file may hold it
    *("null", "true", "0", "-1", "1.5", "NaN", "Infinity", "1e400", '""', '"\\ud800"', '"x"', "[]"),
    *(
        "{}",
        "[null]",
        '{"0": null}',
        '[[1, "a"]]',
        '{"full_attention": 7}',
        "9" * 400,
        "2147483648",
    ),
    *("9" * 5000, '["ModernBertForTokenClassification"]', "[" * DEEP + "]" * DEEP, "7" + "0" * 9),
    '{"a":' * DEEP + "1" + "}" * DEEP,
)
MARK = "\ue000"  # stands for the raw value until everything else is JSON
WEIGHTS = "model.safetensors"


def paths(value, here=()):
    """Yield where every value of a JSON document stands, few of many equal ones."""
    yield here
    if isinstance(value, dict):
        for key in list(value)[:12]:
            yield from paths(value[key], (*here, key))
    elif isinstance(value, list):
        for index in range(min(len(value), 4)):
            yield from paths(value[index], (*here, index))


def replaced(document, place, raw):
    """Return a document as JSON with a raw value at a place; None takes the key away."""
    values = json.loads(json.dumps(document))
    if not place:
        return raw or ""
    holder = values
    for key in place[:-1]:
        holder = holder[key]
    if raw is None:
        holder.pop(place[-1])
    else:
        holder[place[-1]] = MARK
    return json.dumps(values, ensure_ascii=False).replace(f'"{MARK}"', raw or "")


@pytest.fixture(scope="module")
def directories(models, tmp_path_factory):
    """A directory of each slot and family that may be damaged, and what its files hold."""
    root = tmp_path_factory.mktemp("fuzz")
    found = []
    for family, place in models.items():
        for slot in SLOTS.values():
            (path,) = place.glob(f"{slot.prefix}*")
            copy = shutil.copytree(path, root / family / path.name)
            found.append((copy, {file.name: file.read_bytes() for file in copy.iterdir()}))
    return found


def header_of(content):
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


@st.composite
def damages(draw, directories):
    path, files = draw(st.sampled_from(directories))
    name = draw(st.sampled_from(sorted(files)))
    content = files[name]
    if draw(st.integers(0, 4)) == 0:  # bytes
        at = draw(st.integers(0, min(len(content) - 1, 4000)))
        new = draw(st.binary(max_size=9))
        return path, files, name, content[:at] + new + content[at + draw(st.integers(0, 9)) :]
    document, rest = header_of(content) if name == WEIGHTS else (json.loads(content), b"")
    place = draw(st.sampled_from(list(paths(document))))
    text = replaced(document, place, draw(st.sampled_from((None, *RAW)))).encode()
    return (
        path,
        files,
        name,
        struct.pack("<Q", len(text)) + text + rest if name == WEIGHTS else text,
    )


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_a_damaged_directory_is_judged(directories, data):
    path, files, name, content = data.draw(damages(directories))
    (path / name).write_bytes(content)
    try:
        report = verify_contract(path)
        said = json.dumps(report.to_dict())
        said.encode()
        assert len(said) < 50_000
        for verdict in report.verdicts:
            verdict.found.encode()  # what a terminal can show
    except PointsmanError:
        pass
    finally:
        (path / name).write_bytes(files[name])
