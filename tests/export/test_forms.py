"""Every export answers as torch does, at any length, in any company."""

import numpy as np
import pytest

from pointsman.bundle.exports import read_exports
from pointsman.bundle.layout import read_any
from pointsman.runtime.backend import load_backend
from tests.export.conftest import KINDS

LENGTHS = (1, 2, 7, 33, 48)


def rows_of(lengths, seed=0):
    draw = np.random.default_rng(seed)
    return [draw.integers(5, 60, length).tolist() for length in lengths]


def logits(backend, rows):
    (head,) = backend.heads
    return backend.run(rows, [head])[head]


@pytest.mark.parametrize("kind", [*KINDS, "proven"])
def test_onnx_gives_the_logits_of_torch(request, exported, kind):
    path = exported(kind) if kind in KINDS else request.getfixturevalue("proven")
    meta = read_any(path)
    torch, onnx = (load_backend(name, path, meta) for name in ("torch", "onnxruntime fp32"))
    assert onnx.name == "onnxruntime fp32" and torch.name == "torch fp32"
    assert onnx.heads == torch.heads == (meta.task.name,)
    batches = [rows_of([n]) for n in LENGTHS] + [rows_of(LENGTHS), rows_of([9] * 5)]
    for rows in batches:
        expected, found = logits(torch, rows), logits(onnx, rows)
        assert found.dtype == np.float32
        for row, one, other in zip(rows, expected, found, strict=True):
            if meta.task.level == "token":
                one, other = one[: len(row)], other[: len(row)]
            assert np.abs(one - other).max() < 1e-4
            (alone,) = logits(onnx, [row])
            assert np.abs(alone[: len(other)] - other).max() < 1e-4  # company changes nothing


def test_a_graph_has_two_inputs_and_one_output(exported):
    import onnxruntime as ort

    path = exported("modernbert-token")
    entry = read_exports(path)[0]
    session = ort.InferenceSession(str(path / "export" / "onnx-fp32" / "model.onnx"))
    assert [(i.name, i.type) for i in session.get_inputs()] == [
        ("input_ids", "tensor(int64)"), ("attention_mask", "tensor(int64)")
    ]  # fmt: skip
    assert [output.name for output in session.get_outputs()] == ["logits"]
    assert entry.outputs == {"pii": "logits"} and entry.opset == 20 and entry.blessed
    assert list(entry.files) == ["export/onnx-fp32/model.onnx"]


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("openvino fp32", 1e-4),
        ("openvino bf16", 0.2),
        ("openvino int8", 1.0),
        ("onnxruntime int8", 1.0),
    ],
)
def test_other_forms_are_near(proven, name, most):
    meta = read_any(proven)
    torch, other = load_backend("torch", proven, meta), load_backend(name, proven, meta)
    assert other.name == name
    for rows in ([*rows_of([n])] for n in LENGTHS):
        assert np.abs(logits(torch, rows) - logits(other, rows)).max() < most
    rows = rows_of(LENGTHS)
    assert np.abs(logits(torch, rows) - logits(other, rows)).max() < most
