"""Where the time of one prompt goes, and how far it is from what the machine could do.

    python benchmarks/roofline.py
    python benchmarks/roofline.py --bundle runs/shared/bundle

The limit: the matrix products of one pass, counted from the network's shape, over the rate that
this machine reaches on exactly these products (a chain of them with weights of their own, and
nothing between) and on large square ones; and the time to read all weights once from memory. The
stages: each part of `predict`, timed in turn. The kernels: OpenVINO's own counters, by kind.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from shapes import text_of
from sides import Pointsman, add_models, exported, find_models
from timing import Report, Times, parse, start, take_turns

from pointsman.data.encode import TextEncoder

BAR = 0.05  # of a pass, for tokenising and decoding together
BAR_TOKENS = 128
HINTS = {"bf16": "bf16", "int8": "bf16", "fp32": "f32"}
SQUARE = 2048


@dataclass(frozen=True, slots=True)
class Work:
    """What one pass of the encoder and its heads computes.

    Attributes:
        products: Rows in and out of every weight matrix, in the order of the network.
        width: Of the hidden states.
        layers: Encoder layers.
        parameters: Of the weight matrices.
    """

    products: tuple[tuple[int, int], ...]
    width: int
    layers: int
    parameters: int

    def flop(self, tokens: int) -> float:
        """Return the operations of one row: weights, and attention over all pairs of tokens."""
        weights = 2.0 * self.parameters * tokens
        return weights + 4.0 * self.layers * tokens**2 * self.width


def count_work(bundle: Path) -> Work:
    """Read the shape of a bundle's encoder."""
    import torch
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(bundle)
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    products = tuple((m.in_features, m.out_features) for m in linear)
    return Work(
        products, config.hidden_size, config.num_hidden_layers, sum(a * b for a, b in products)
    )


def chain(products: Sequence[tuple[int, int]]) -> Any:
    """Return a network of matrix products alone: the output of each is cut to fit the next."""
    import torch

    class Chain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(torch.nn.Linear(a, b, bias=False) for a, b in products)

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            for part, (width, _) in zip(self.parts, products, strict=True):
                if hidden.shape[-1] < width:  # q, k and v in turn: their input is narrower
                    hidden = torch.cat([hidden] * -(-width // hidden.shape[-1]), dim=-1)
                hidden = part(hidden[:, :width])
            return hidden

    torch.manual_seed(0)
    return Chain().eval()


def chain_call(
    products: Sequence[tuple[int, int]], rows: int, precision: str, threads: int
) -> Callable[[], object]:
    """Return a call of the chain through OpenVINO, compiled as a bundle's graph is."""
    import openvino as ov
    import torch

    hidden = torch.randn(rows, products[0][0])
    model = ov.convert_model(chain(products), example_input=hidden, input=[rows, products[0][0]])
    if precision == "int8":
        model = _quantised(model, hidden.numpy())
    compiled = ov.Core().compile_model(model, "CPU", settings(precision, threads))
    request = compiled.create_infer_request()
    inputs = np.ascontiguousarray(hidden.numpy())
    return lambda: request.infer([inputs], share_inputs=True)


def _quantised(model: Any, rows: Any) -> Any:
    import contextlib
    import io
    import logging

    import nncf

    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        return nncf.quantize(model, nncf.Dataset([rows]), subset_size=1)


def settings(precision: str, threads: int) -> dict[str, str]:
    """Return OpenVINO's settings, those of the bundle's backend."""
    return {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads), "INFERENCE_PRECISION_HINT": HINTS[precision],
    }  # fmt: skip


def bandwidth(rounds: int, mib: int) -> float:
    """Return how many bytes a second are read from memory by a sum over a large array."""
    import torch

    block = torch.ones(mib * 2**18)
    spent = []
    for _ in range(rounds):
        started = time.perf_counter()
        block.sum()
        spent.append(time.perf_counter() - started)
    return block.numel() * 4 / float(np.median(spent))


def limit(report: Report, work: Work, args: argparse.Namespace) -> dict[str, float]:
    """Print the machine's rates and the least time of a pass at each length."""
    memory = bandwidth(args.rounds, args.mib)
    squares = ((args.square, args.square),) * 4
    rows, least = [], {}
    for precision, size in (("bf16", 2), ("int8", 1)):
        peak = _rate(squares, args.square, precision, args)
        reading = work.parameters * size / memory * 1000
        for tokens in args.tokens:
            rate = _rate(work.products, tokens, precision, args)
            flop = work.flop(tokens)
            least[f"{precision} {tokens}"] = flop / rate
            rows.append((
                precision, tokens, flop / 1e9, rate / 1e9, flop / rate * 1000,
                peak / 1e9, flop / peak * 1000, reading,
            ))  # fmt: skip
    report.table(
        f"The limit: {work.parameters / 1e6:.0f} million weights in matrices, memory read at "
        f"{memory / 1e9:.1f} GB/s",
        ("precision", "tokens", "GFLOP a pass", "GFLOP/s of its products alone", "ms at that",
         f"GFLOP/s of {args.square} squared", "ms at that", "ms to read all weights"), rows,
    )  # fmt: skip
    return least


def _rate(products: Any, rows: int, precision: str, args: argparse.Namespace) -> float:
    call = chain_call(products, rows, precision, args.threads)
    found = take_turns({"chain": call}, rounds=args.rounds, warmup=args.warmup)["chain"]
    return 2.0 * rows * sum(a * b for a, b in products) / found.median


def stages(predictor: Any, text: str, args: argparse.Namespace) -> dict[str, Times]:
    """Time the parts of `predict` in turn, each from the outcome of the one before."""
    from pointsman.bundle.meta import NO_POSTPROCESSING

    encoder, backend, heads = predictor._encoder, predictor._backend, predictor.heads
    windows = encoder.encode([text])[0]
    ids = [window.input_ids for window in windows]
    readings = predictor.read([text], heads=heads)
    served = {name: predictor.head(name) for name in heads}
    plain = {
        name: head.with_meta(head.meta.model_copy(update={"postprocess": NO_POSTPROCESSING}))
        for name, head in served.items()
    }
    calls: dict[str, Callable[[], object]] = {
        "all of predict": partial(predictor.predict, [text]),
        "tokeniser": partial(encoder._tokenizer.encode_batch, [text], add_special_tokens=False),
        "tokeniser and windows": partial(encoder.encode, [text]),
        "backend": partial(backend.run, ids, heads),
        "decoding": lambda: [plain[name].decide(readings[name]) for name in heads],
        "decoding and post-processing": lambda: [
            served[name].decide(readings[name]) for name in heads
        ],
    }
    if hasattr(backend, "_request"):
        padded = backend._pad(ids)
        ready = {"input_ids": padded[0].copy(), "attention_mask": padded[1].copy()}
        request = backend._request(tuple(heads))
        calls["inference call"] = partial(request.infer, ready, share_inputs=True)
    return take_turns(calls, rounds=args.rounds, warmup=args.warmup)


def stage_rows(found: dict[str, Times], least: float | None) -> list[tuple[str, float, str]]:
    """Return what each part takes by itself, in ms, and its share of the whole."""
    ms = {name: times.median * 1000 for name, times in found.items()}
    whole, call = ms["all of predict"], ms.get("inference call", ms["backend"])
    parts = {
        "tokeniser": ms["tokeniser"],
        "windows": ms["tokeniser and windows"] - ms["tokeniser"],
        "padding, copies, call from Python": ms["backend"] - call,
        "inference call": call,
        "decoding": ms["decoding"],
        "post-processing": ms["decoding and post-processing"] - ms["decoding"],
        "the rest: checks, order, objects": whole - ms["tokeniser and windows"] - ms["backend"]
        - ms["decoding and post-processing"],
    }  # fmt: skip
    if least is not None:
        parts["of the inference call: matrix products at their rate alone"] = least * 1000
        parts["of the inference call: all else"] = call - least * 1000
    return [(name, value, f"{value / whole:.1%}") for name, value in parts.items()] + [
        ("all of predict", whole, "100%")
    ]


def kernels(bundle: Path, precision: str, ids: list[int], args: argparse.Namespace) -> list[Any]:
    """Return OpenVINO's time by kind of kernel: name, ms, share; medians over passes."""
    import openvino as ov

    core = ov.Core()
    place = bundle / "export" / f"openvino-{precision}" / "model.xml"
    more = {**settings(precision, args.threads), "PERF_COUNT": "YES"}
    request = core.compile_model(core.read_model(place), "CPU", more).create_infer_request()
    inputs = {"input_ids": np.array([ids], dtype=np.int64)}
    inputs["attention_mask"] = np.ones_like(inputs["input_ids"])
    passes: list[Counter[str]] = []
    for _ in range(args.rounds + args.warmup):
        request.infer(inputs)
        spent: Counter[str] = Counter()
        for node in request.profiling_info:
            spent[node.node_type] += node.real_time.total_seconds() * 1000
        passes.append(spent)
    kinds = {kind for spent in passes for kind in spent}
    medians = {
        kind: float(np.median([spent[kind] for spent in passes[args.warmup :]])) for kind in kinds
    }
    whole = sum(medians.values())
    return [
        (kind, ms, f"{ms / whole:.1%}")
        for kind, ms in sorted(medians.items(), key=lambda item: -item[1]) if ms >= whole / 200
    ]  # fmt: skip


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_models(parser)
    parser.add_argument("--tokens", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--square", type=int, default=SQUARE, help="side of the large matrices")
    parser.add_argument("--mib", type=int, default=1024, help="size of the array that is read")
    args = parse(parser, quick={"shape": "tiny-shape", "square": 256, "mib": 64})
    report = start("roofline", args)
    name, bundle, _ = find_models(args)
    work = count_work(bundle)
    least = limit(report, work, args)
    encoder = TextEncoder.from_directory(bundle)
    for backend in exported(bundle):
        if not backend.startswith("openvino"):
            continue
        precision = backend.split()[1]
        predictor = Pointsman(bundle, backend, args.threads).predictor
        for tokens in args.tokens:
            text = text_of(encoder, tokens)
            found = stages(predictor, text, args)
            rows = stage_rows(found, least.get(f"{precision} {tokens}"))
            report.table(f"{name}, {backend}, {tokens} tokens", ("part", "ms", "share"), rows)
            report.data[f"{backend} {tokens}"] = {k: v.to_dict() for k, v in found.items()}
            if tokens == BAR_TOKENS:
                around = ("tokeniser and windows", "decoding and post-processing")
                share = sum(found[part].median for part in around) / found["all of predict"].median
                report.judge(
                    f"{name}, {backend}, {tokens} tokens, share of tokenising and decoding",
                    share, BAR, below=True,
                )  # fmt: skip
                ids = encoder.encode([text])[0][0].input_ids
                report.table(
                    f"{name}, {backend}, {tokens} tokens, inside the inference call",
                    ("kernels", "ms", "share"), kernels(bundle, precision, ids, args),
                )  # fmt: skip
    report.save(args.output / name)


if __name__ == "__main__":
    main()
