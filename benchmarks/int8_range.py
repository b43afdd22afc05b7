"""What eight and seven bits of weight give in int8, on the machine that this runs on.

A CPU without VNNI instructions adds two products in 16 bits and clamps the sum; weights of seven
bits never reach the limit, which is why exports have them. Each form answers starter texts beside
onnxruntime in fp32: the error of logits, the share of equal decisions, and the time of one window
of 128 tokens. `session.x64quantprecision` has onnxruntime take slower kernels that do not clamp.

    python benchmarks/int8_range.py runs/quickstart/category/bundle
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from timing import Report, parse, start, take_turns

Infer = Callable[[Mapping[str, Any]], Any]  # ids and mask in, logits out

CALIBRATED_ON = 100


def write_eight_bits(graph: Path, place: Path, rows: list[dict[str, Any]]) -> None:
    """Quantise as the exports do, but for the range of the weights."""
    import nncf
    import onnx
    import openvino as ov
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(graph)
    del model.graph.value_info[:]
    quantize_dynamic(
        model, str(place / "model.onnx"), op_types_to_quantize=["MatMul"], per_channel=True,
        weight_type=QuantType.QInt8, extra_options={"MatMulConstBOnly": True},
    )  # fmt: skip
    quantised = nncf.quantize(
        ov.convert_model(str(graph)), nncf.Dataset(rows), preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows),
    )  # fmt: skip
    ov.save_model(quantised, str(place / "model.xml"), compress_to_fp16=False)


def open_onnx(file: Path, threads: int, *, precise: bool = False) -> Infer:
    """Return a session of onnxruntime as a function."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda row: session.run(["logits"], dict(row))[0]


def open_openvino(file: Path, threads: int) -> Infer:
    """Return a compiled model of OpenVINO as a function."""
    import openvino as ov

    model = ov.Core().compile_model(
        str(file), "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda row: model(dict(row))["logits"]


def measure(report: Report, bundle: Path, texts: int, args: argparse.Namespace) -> None:
    """Write every form, ask each the same, and time them in turns."""
    import numpy as np
    from shapes import starter_texts

    from pointsman.bundle.layout import read_bundle
    from pointsman.data.encode import TextEncoder
    from pointsman.export.onnx import write_onnx
    from pointsman.export.openvino import write_openvino, write_openvino_int8
    from pointsman.export.quantise import write_onnx_int8
    from pointsman.models.graph import load_graph

    meta = read_bundle(bundle)
    encoder = TextEncoder.from_directory(bundle, max_length=meta.max_length)
    drawn = random.Random(0).sample(starter_texts(), texts + CALIBRATED_ON)
    ids = [np.asarray([windows[0].input_ids]) for windows in encoder.encode(drawn)]
    rows = [{"input_ids": i, "attention_mask": np.ones_like(i)} for i in ids]
    asked, calibration = rows[:texts], rows[texts:]
    long = np.resize(ids[0], (1, 128))
    window = {"input_ids": long, "attention_mask": np.ones_like(long)}
    with tempfile.TemporaryDirectory() as temporary:
        fp32, seven, eight = (Path(temporary) / name for name in ("fp32", "seven", "eight"))
        for place in (fp32, seven, eight):
            place.mkdir()
        module, outputs = load_graph(bundle, meta)
        graph = fp32 / "model.onnx"
        write_onnx(module, list(outputs.values()), graph)
        write_openvino(graph, fp32)
        write_eight_bits(graph, eight, calibration)
        write_onnx_int8(graph, seven / "model.onnx")
        write_openvino_int8(graph, seven, calibration)
        forms = {
            "onnxruntime fp32": open_onnx(graph, args.threads),
            "onnxruntime int8, eight bits": open_onnx(eight / "model.onnx", args.threads),
            "the same, precise kernels": open_onnx(
                eight / "model.onnx", args.threads, precise=True
            ),
            "onnxruntime int8, seven bits": open_onnx(seven / "model.onnx", args.threads),
            "openvino fp32": open_openvino(fp32 / "model.xml", args.threads),
            "openvino int8, eight bits": open_openvino(eight / "model.xml", args.threads),
            "openvino int8, seven bits": open_openvino(seven / "model.xml", args.threads),
        }
        times = take_turns(
            {name: partial(infer, window) for name, infer in forms.items()},
            rounds=args.rounds, warmup=args.warmup,
        )  # fmt: skip
        gold = [forms["onnxruntime fp32"](row) for row in asked]
        table = []
        for name, infer in forms.items():
            found = [infer(row) for row in asked]
            errors = [float(np.abs(f - g).mean()) for f, g in zip(found, gold, strict=True)]
            same = [f.argmax(-1) == g.argmax(-1) for f, g in zip(found, gold, strict=True)]
            share = float(np.concatenate([s.ravel() for s in same]).mean())
            table.append((name, float(np.mean(errors)), max(errors), f"{share:.2%}",
                          times[name].median * 1000))  # fmt: skip
    report.table(
        f"{bundle}: {texts} starter texts",
        ("form", "mean error of a logit", "worst text", "same decisions", "ms, 128 tokens"),
        table,
    )


def main() -> None:
    """Measure one bundle of one task."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--texts", type=int, default=500)
    args = parse(parser, quick={"texts": 20})
    report = start("int8_range", args)
    measure(report, args.bundle, args.texts, args)
    report.save(args.output)


if __name__ == "__main__":
    main()
