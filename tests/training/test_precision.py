"""Which arithmetic is chosen on which machine."""

import pytest
import torch

from pointsman.core.errors import ConfigError
from pointsman.training.precision import choose_precision


@pytest.fixture
def machine(monkeypatch):
    """Make this machine one of another kind."""

    def make(*, amx=False, avx512_bf16=False, gpu=False, gpu_bf16=False):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: gpu_bf16)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")

    return make


@pytest.mark.parametrize(
    ("has", "name", "reason"),
    [
        ({"amx": True}, "bf16", "AMX"),
        ({"avx512_bf16": True}, "bf16", "AVX-512 BF16"),
        ({}, "fp32", "without AMX"),
        ({"gpu": True, "gpu_bf16": True}, "bf16", "a GPU has bf16"),
        ({"gpu": True, "amx": True}, "fp16", "a GPU has no bf16"),
    ],
)
def test_the_machine_decides(machine, has, name, reason):
    machine(**has)
    chosen = choose_precision("auto")
    assert chosen.name == name and reason in chosen.reason


def test_what_is_asked_for_is_taken(machine):
    machine(amx=True)
    assert choose_precision("fp32").name == "fp32"
    machine()
    assert choose_precision("bf16").name == "bf16"


def test_fp16_without_a_gpu_is_refused(machine):
    machine()
    with pytest.raises(ConfigError, match="fp16"):
        choose_precision("fp16")
