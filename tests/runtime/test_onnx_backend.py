"""What onnxruntime raises, as errors of ours: its kinds derive from `Exception` alone."""

import numpy as np
import onnxruntime as ort
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as kinds

from pointsman.core.errors import BundleError, PointsmanError, is_out_of_memory
from pointsman.runtime.onnx_backend import OnnxBackend

# as version 1.31 says it, under a limit of the address space
NO_MEMORY = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Gather node. "
    "Status Message: bfc_arena.cc:360 void* onnxruntime::BFCArena::AllocateRawInternal(size_t) "
    "Failed to allocate memory for requested buffer of size 32768000"
)


class Session:
    """A session that fails, or that gives zeros."""

    def __init__(self, error=None):
        self.error = error

    def run(self, names, feeds):
        if self.error is not None:
            raise self.error
        return [np.zeros((len(feeds["input_ids"]), 2), dtype=np.float32) for _ in names]


def opened(monkeypatch, place, session):
    monkeypatch.setattr(ort, "InferenceSession", session)
    return OnnxBackend(place, {"a": "logits"}, precision="fp32", pad_id=0, threads=1)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (kinds.Fail(NO_MEMORY), "memory for a batch of 2 windows of 3 tokens"),
        (kinds.RuntimeException("std::bad_alloc"), "memory for a batch of 2 windows"),
        (kinds.InvalidArgument("indices out of bounds"), "to compute 2 windows of 3 tokens"),
    ],
)
def test_what_fails_while_it_computes(monkeypatch, tmp_path, error, words):
    backend = opened(monkeypatch, tmp_path, lambda *rest, **named: Session(error))
    with pytest.raises(PointsmanError, match=words) as found:
        backend.run([[1], [1, 2, 3]], ("a",))
    assert found.value.got == type(error).__name__ and found.value.__cause__ is error


def test_what_fails_while_it_loads(monkeypatch, tmp_path):
    def failing(error):
        def session(*rest, **named):
            raise error

        return session

    with pytest.raises(BundleError, match="that onnxruntime can load"):
        opened(monkeypatch, tmp_path, failing(kinds.InvalidProtobuf("parsing failed")))
    with pytest.raises(PointsmanError, match="memory for .*model.onnx") as found:
        opened(monkeypatch, tmp_path, failing(kinds.Fail(NO_MEMORY)))
    assert not isinstance(found.value, BundleError)


def test_what_a_real_session_refuses(monkeypatch, golden_bundles):
    place = golden_bundles["bert-jailbreak"] / "export" / "onnx-fp32"
    backend = OnnxBackend(place, {"a": "logits"}, precision="fp32", pad_id=0, threads=1)
    assert backend.run([[1, 2]], ("a",))["a"].shape == (1, 2)
    with pytest.raises(PointsmanError, match="got: InvalidArgument"):
        backend.run([[10**6]], ("a",))


def test_words_for_memory():
    assert is_out_of_memory(kinds.Fail(NO_MEMORY)) and not is_out_of_memory(kinds.Fail("shapes"))
