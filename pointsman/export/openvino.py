"""OpenVINO's form of a network, converted from its ONNX file, in fp32 or quantised to int8."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pointsman.core.files import storage_errors

MODEL = "model.xml"

Inputs = Mapping[str, Any]  # `input_ids` and `attention_mask`, each of shape (1, length)


def write_openvino(onnx_file: Path, place: Path) -> None:
    """Convert an ONNX file to OpenVINO's IR with weights in fp32.

    Args:
        onnx_file: The graph.
        place: Directory for `model.xml` and `model.bin`.
    """
    _save(_convert(onnx_file), place)


def write_openvino_int8(
    onnx_file: Path, place: Path, rows: Sequence[Inputs], ignored: Sequence[str] = ()
) -> None:
    """Quantise a network to int8 after training, weights to -64 to 64.

    Eight bits of them would be clamped by CPUs without VNNI: see `pointsman.export.quantise`.

    Args:
        onnx_file: The graph.
        place: Directory for `model.xml` and `model.bin`.
        rows: Inputs of the training split, to choose the ranges of activations by.
        ignored: Names of the graph's operations that stay as they are.
    """
    import nncf

    with _quiet():
        quantised = nncf.quantize(
            _convert(onnx_file),
            nncf.Dataset(list(rows)),
            preset=nncf.QuantizationPreset.MIXED,  # activations of encoders are not symmetric
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(rows),
            ignored_scope=nncf.IgnoredScope(names=list(ignored), validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )
    _save(quantised, place)


def _convert(onnx_file: Path) -> Any:
    import openvino as ov

    return ov.convert_model(str(onnx_file))


def _save(model: Any, place: Path) -> None:
    import openvino as ov

    with storage_errors(place):
        ov.save_model(model, str(place / MODEL), compress_to_fp16=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep nncf from drawing a bar on stdout for every pass and from reporting each operation."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
