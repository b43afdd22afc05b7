"""The sides of the comparisons at inference: Pointsman, four pipelines, four ONNX sessions.

All answer the same four questions of the same texts, with the same weights and threads. The others
do no more than they must: pipelines as their documentation shows them, sessions with softmax and a
plain reading of labels.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from shapes import SHAPES, TASKS, split_shared, write_backbone, write_exports, write_shared
from shapes import write_single_graphs as single_graphs

from pointsman.core.files import sha256_file

FORMS = (("onnx", "fp32"), ("openvino", "bf16"), ("openvino", "int8"))


class Pointsman:
    """A shared bundle, all heads in one pass.

    Args:
        bundle: The bundle.
        backend: What `pointsman.load` takes.
        threads: Threads of the backend.
    """

    def __init__(self, bundle: Path, backend: str, threads: int) -> None:
        from pointsman import load

        self.predictor: Any = load(bundle, backend=backend, threads=threads)

    def __call__(self, texts: Sequence[str]) -> dict[str, list[Any]]:
        """Return the predictions of every head."""
        answers: dict[str, list[Any]] = self.predictor.predict(list(texts))
        return answers


class Pipelines:
    """Four pipelines of transformers: what users run today.

    Args:
        singles: The models by task.
        dtype: `float32` or `bfloat16`.
        threads: Threads of torch.
        device: Where they compute.
    """

    def __init__(
        self, singles: Mapping[str, Path], dtype: str, threads: int, device: str = "cpu"
    ) -> None:
        import torch
        from transformers import pipeline

        from pointsman.models.network import quiet

        torch.set_num_threads(threads)
        self._pipes: dict[str, Any] = {}
        with quiet():
            for name, place in singles.items():
                token = "ForTokenClassification" in (place / "config.json").read_text()
                more: dict[str, Any] = {"aggregation_strategy": "simple"} if token else {}
                kind: Any = "token-classification" if token else "text-classification"
                self._pipes[name] = pipeline(
                    kind, model=str(place), dtype=getattr(torch, dtype), device=device, **more
                )
                self._pipes[name].tokenizer.model_max_length = 512  # beyond it, texts are cut off
        self._token = {name for name, pipe in self._pipes.items() if "token" in pipe.task}

    def __call__(self, texts: Sequence[str], batch_size: int = 1) -> dict[str, list[Any]]:
        """Return what each pipeline answers."""
        found = {}
        for name, pipe in self._pipes.items():
            # the token pipeline cuts off by the tokenizer's own maximum, and takes no argument
            more = {} if name in self._token else {"truncation": True}
            found[name] = pipe(list(texts), batch_size=batch_size, **more)
        return found


class Sessions:
    """Four sessions of onnxruntime in fp32, each with its own tokenizer.

    Args:
        singles: Directories of the models by task, each with `model.onnx`.
        threads: Threads of each session.
    """

    def __init__(self, singles: Mapping[str, Path], threads: int) -> None:
        import onnxruntime as ort
        from tokenizers import Tokenizer

        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # A session's threads spin for a while after its answer, on the cores of the next session.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._parts = {}
        for name, place in singles.items():
            tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
            tokenizer.no_padding()
            tokenizer.enable_truncation(512)
            labels = json.loads((place / "config.json").read_text())["id2label"]
            session = ort.InferenceSession(
                str(place / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
            self._parts[name] = (tokenizer, session, [labels[str(i)] for i in range(len(labels))])

    def __call__(self, texts: Sequence[str]) -> dict[str, list[Any]]:
        """Return label and score of each text, or of each of its tokens."""
        return {name: [self._answer(*part, text) for text in texts]
                for name, part in self._parts.items()}  # fmt: skip

    def _answer(self, tokenizer: Any, session: Any, labels: list[str], text: str) -> Any:
        encoding = tokenizer.encode(text)
        ids = np.asarray([encoding.ids], dtype=np.int64)
        (logits,) = session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        shares = np.exp(logits[0] - logits[0].max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        if shares.ndim == 1:
            best = int(shares.argmax())
            return labels[best], float(shares[best])
        best_each = shares.argmax(-1)
        return [
            (labels[best], *encoding.offsets[token]) for token, best in enumerate(best_each) if best
        ]


def add_models(parser: ArgumentParser) -> None:
    """Add the arguments that choose the weights."""
    parser.add_argument("--bundle", type=Path, help="a trained shared bundle, with its exports")
    parser.add_argument(
        "--shape", choices=SHAPES, default="modernbert-base-shape",
        help="without a bundle: a shape with random weights, written below --output",
    )  # fmt: skip


def find_models(args: Namespace) -> tuple[str, Path, dict[str, Path]]:
    """Return the name of the weights, the shared bundle, and the single models made of it."""
    if args.bundle:
        name, bundle = args.bundle.resolve().parent.name, args.bundle
        if (bundle / "bundle" / "bundle.json").is_file():
            name, bundle = bundle.resolve().name, bundle / "bundle"
    else:
        name, place = args.shape, args.output / "models" / args.shape
        bundle = write_shared(place / "bundle", write_backbone(place / "backbone", SHAPES[name]))
        write_exports(bundle, FORMS)
    place = args.output / "models" / name / sha256_file(bundle / "model.safetensors")[:12]
    return name, bundle, split_shared(bundle, place)


def exported(bundle: Path) -> list[str]:
    """Return the backends that a bundle has exports for, the counting ones first.

    A trained bundle counts with what is blessed; int8 of random weights is reported only.
    """
    from pointsman.bundle.exports import hash_operating_point, read_exports
    from pointsman.bundle.layout import read_meta

    libraries = {"onnx": "onnxruntime", "openvino": "openvino"}
    point = hash_operating_point(read_meta(bundle))
    entries = sorted(read_exports(bundle), key=lambda entry: not entry.is_blessed_at(point))
    return [f"{libraries[e.target]} {e.precision}" for e in entries if e.target in libraries]


def counts(bundle: Path, backend: str) -> bool:
    """Say whether a backend of a bundle is blessed, so that it counts for the bars."""
    from pointsman.bundle.exports import hash_operating_point, read_exports
    from pointsman.bundle.layout import read_meta

    point = hash_operating_point(read_meta(bundle))
    target = {"onnxruntime": "onnx"}.get(backend.split()[0], backend.split()[0])
    return any(
        entry.is_blessed_at(point)
        and (entry.target, entry.precision) == (target, backend.split()[1])
        for entry in read_exports(bundle)
    )


__all__ = [
    "TASKS", "Pipelines", "Pointsman", "Sessions", "add_models", "counts", "exported",
    "find_models", "single_graphs",
]  # fmt: skip
