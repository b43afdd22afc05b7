"""Which arithmetic this machine trains in, and why, in one line."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Precision:
    """The arithmetic of a run.

    Attributes:
        name: `fp32`, `bf16` or `fp16`.
        reason: Why, for the log.
    """

    name: str
    reason: str


def choose_precision(wanted: str) -> Precision:
    """Return the arithmetic to train in.

    Args:
        wanted: `auto`, `fp32`, `bf16` or `fp16`.

    Raises:
        ConfigError: If fp16 is asked for on a machine without a GPU.
    """
    import torch

    gpu = torch.cuda.is_available()
    if wanted == "fp16" and not gpu:
        raise ConfigError("a GPU for precision fp16", got="none", fix="use auto, bf16 or fp32")
    if wanted != "auto":
        return Precision(wanted, "asked for")
    if gpu and torch.cuda.is_bf16_supported(including_emulation=False):
        return Precision("bf16", f"{torch.cuda.get_device_name()} has bf16")
    if gpu:
        return Precision("fp16", f"{torch.cuda.get_device_name()} has no bf16")
    if torch.cpu._is_amx_tile_supported():
        return Precision("bf16", "the CPU has AMX")
    if torch.cpu._is_avx512_bf16_supported():
        return Precision("bf16", "the CPU has AVX-512 BF16")
    return Precision("fp32", "no GPU, and a CPU without AMX or AVX-512 BF16")
