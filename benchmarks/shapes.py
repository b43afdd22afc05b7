"""The models that the speed benchmarks compare: a shared bundle, and four models of its weights.

Speed does not depend on what weights say. So a backbone of ModernBERT base's shape (22 layers of
768, a vocabulary of 50,368) with random weights stands for the real one; its tokenizer is trained
here on the starter corpora, so that no hub is needed and lengths in tokens are exact.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pointsman.data.encode import TextEncoder

MODERNBERT_BASE = {
    "vocab_size": 50368,
    "hidden_size": 768,
    "num_hidden_layers": 22,
    "num_attention_heads": 12,
    "intermediate_size": 1152,
    "max_position_embeddings": 8192,
}
TINY = {
    "vocab_size": 50368,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 8192,
}
SHAPES = {"modernbert-base-shape": MODERNBERT_BASE, "tiny-shape": TINY}
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
TASKS = ("category", "pii", "jailbreak", "intent")
IN_SPANS = 0.03  # share of tokens that the random PII head takes for personal data
COPIED = ("tokenizer.json", "tokenizer_config.json")


def starter_texts() -> list[str]:
    """Return the texts of the starter corpora, templates as they stand."""
    folder = files("pointsman.data") / "starter"
    texts = []
    for name in ("category.jsonl", "pii_templates.jsonl", "jailbreak.jsonl", "intent.jsonl"):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts.append(str(row.get("text") or row.get("template") or ""))
    return [text for text in texts if text]


def write_backbone(path: Path, shape: Mapping[str, int] = MODERNBERT_BASE, seed: int = 0) -> Path:
    """Write a ModernBERT of random weights with a tokenizer, as a hub checkpoint lies on disk."""
    import torch
    from transformers import ModernBertConfig, ModernBertModel

    if (path / "model.safetensors").is_file():
        return path
    torch.manual_seed(seed)
    ids = {name: SPECIAL.index(name) for name in SPECIAL}
    config = ModernBertConfig(
        **shape, pad_token_id=ids["[PAD]"], bos_token_id=ids["[CLS]"], cls_token_id=ids["[CLS]"],
        eos_token_id=ids["[SEP]"], sep_token_id=ids["[SEP]"],
    )  # fmt: skip
    path.mkdir(parents=True, exist_ok=True)
    write_tokenizer(path, shape["vocab_size"])
    ModernBertModel(config).save_pretrained(path)
    return path


def write_tokenizer(path: Path, size: int) -> None:
    """Train a byte-level tokenizer, as ModernBERT has one, on the starter corpora."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(starter_texts(), trainer)
    cls, sep = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    tokenizer.save(str(path / "tokenizer.json"))
    names = {f"{kind}_token": f"[{kind.upper()}]" for kind in ("pad", "cls", "sep", "unk", "mask")}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192,
        "model_input_names": ["input_ids", "attention_mask"], **names,
    }  # fmt: skip
    (path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def write_shared(path: Path, backbone: Path, seed: int = 0) -> Path:
    """Write a shared bundle of all tasks on a backbone, whose heads have learned nothing."""
    from pointsman.bundle.layout import write_bundle
    from pointsman.bundle.meta import BundleMeta, SharedMeta
    from pointsman.models.shared import build_shared, save_shared
    from pointsman.models.weights import find_backbone
    from pointsman.pipeline.packing import versions
    from pointsman.tasks.catalogue import TASKS as CATALOGUE
    from pointsman.tasks.labels import model_labels

    if (path / "bundle.json").is_file():
        return path
    specs = {name: CATALOGUE[name] for name in TASKS}
    network = build_shared(find_backbone(str(backbone)), specs, seed=seed).model
    _lean_outside(network, TextEncoder.from_backbone(backbone))
    heads = {
        name: BundleMeta(
            task=spec, labels=model_labels(spec), max_length=512,
            thresholds={spec.positive: 0.5} if spec.positive else {},
        ) for name, spec in specs.items()
    }  # fmt: skip
    meta = SharedMeta(
        heads=heads, max_length=512, trunk_layers=network.trunk_layers, versions=versions()
    )

    def fill(directory: Path) -> None:
        save_shared(network, directory)
        TextEncoder.from_backbone(backbone).save(directory)
        shutil.copyfile(backbone / "tokenizer_config.json", directory / "tokenizer_config.json")

    write_bundle(path, lambda: meta, fill)
    return path


def _lean_outside(network: Any, encoder: TextEncoder) -> None:
    """Turn a random PII head towards `O`, which a trained one says of most tokens.

    Else decoding would meet a span at every other token, which no text has.
    """
    import torch

    margins = []
    with torch.inference_mode():
        for text in random.Random(0).sample(starter_texts(), 32):
            ids = torch.tensor([encoder.encode([text])[0][0].input_ids])
            logits = network.eval()(ids, torch.ones_like(ids), heads=("pii",))["pii"][0]
            margins.append(logits[:, 1:].max(dim=-1).values - logits[:, 0])
    with torch.no_grad():
        network.heads["pii"].classifier.bias[0] += torch.cat(margins).quantile(1 - IN_SPANS)


def text_of(encoder: TextEncoder, tokens: int, seed: int = 0) -> str:
    """Return a text of exactly so many tokens, special ones included, if it fits one window.

    Of a longer one, content tokens are counted, and special ones only once.

    Raises:
        ValueError: If none is found, which no known tokenizer makes happen.
    """
    for attempt in range(50):
        words = _words(seed * 1000 + attempt)
        chosen: list[str] = []
        low, high = 0, 8
        pool = [next(words) for _ in range(2 * tokens + 64)]
        while count_tokens(encoder, " ".join(pool[:high])) < tokens and high < len(pool):
            low, high = high, high * 2
        while low + 1 < high:
            middle = (low + high) // 2
            short = count_tokens(encoder, " ".join(pool[:middle])) <= tokens
            low, high = (middle, high) if short else (low, middle)
        chosen = pool[:low]
        if count_tokens(encoder, " ".join(chosen)) == tokens:
            return " ".join(chosen)
    raise ValueError(f"a text of {tokens} tokens")


def count_tokens(encoder: TextEncoder, text: str) -> int:
    """Return the tokens of a text with one pair of special tokens."""
    windows = encoder.encode([text])[0]
    last = windows[-1]
    special = len(windows[0]) - len(windows[0].offsets)
    return last.first + len(last.offsets) + special


def _words(seed: int) -> Iterator[str]:
    """Yield the words of starter texts, one text after another, for ever."""
    draw = random.Random(seed)
    texts = starter_texts()
    while True:
        yield from draw.choice(texts).split()


def split_shared(bundle: Path, place: Path) -> dict[str, Path]:
    """Write each head of a shared bundle as the transformers model that it is, and return where.

    These are what the pipelines and the single ONNX sessions load: the same weights, four times.
    """
    from pointsman.bundle.layout import read_any
    from pointsman.models.network import quiet
    from pointsman.models.shared import load_shared

    meta: Any = read_any(bundle)
    network = load_shared(
        bundle, {name: head.task for name, head in meta.heads.items()}, meta.trunk_layers
    )
    found = {}
    for name in meta.heads:
        found[name] = place / name
        if (found[name] / "model.safetensors").is_file():
            continue
        found[name].mkdir(parents=True, exist_ok=True)
        with quiet():
            network.task_model(name).save_pretrained(found[name])
        for file in COPIED:
            if (bundle / file).is_file():
                shutil.copyfile(bundle / file, found[name] / file)
    return found


def write_exports(bundle: Path, forms: Sequence[tuple[str, str]]) -> None:
    """Write exports of a bundle whose weights are random, without any proof.

    Proving them would say nothing: decisions of random weights lie on a knife's edge. They are
    stamped as blessed so that loading takes them as it would take a trained bundle's.
    """
    from pointsman.bundle.exports import (
        ExportEntry,
        add_export,
        hash_operating_point,
        new_export,
        read_exports,
    )
    from pointsman.bundle.layout import read_any
    from pointsman.export.onnx import OPSET, write_onnx
    from pointsman.export.openvino import write_openvino
    from pointsman.models.graph import load_graph

    missing = set(forms) - {(entry.target, entry.precision) for entry in read_exports(bundle)}
    if not missing:
        return
    meta = read_any(bundle)
    module, outputs = load_graph(bundle, meta)
    with tempfile.TemporaryDirectory() as temporary:
        graph = Path(temporary) / "model.onnx"
        write_onnx(module, list(outputs.values()), graph)
        for target, precision in sorted(missing):
            with new_export(bundle, target, precision) as place:
                if precision == "int8":
                    _write_int8(bundle, graph, place)
                elif target == "onnx":
                    shutil.copyfile(graph, place / "model.onnx")
                else:
                    write_openvino(graph, place)
            add_export(bundle, ExportEntry(
                target=target, precision=precision, files={}, opset=OPSET, outputs=outputs,
                weights=meta.files["model.safetensors"], blessed=precision != "int8",
                proven_at=hash_operating_point(meta),
                forced=precision == "int8", figures={"benchmark": "random weights: not proven"},
            ))  # fmt: skip


def _write_int8(bundle: Path, graph: Path, place: Path) -> None:
    """Quantise whole, on starter texts: random weights have no sensitive layers to search for."""
    import numpy as np

    from pointsman.export.openvino import write_openvino_int8

    encoder = TextEncoder.from_directory(bundle)
    texts = random.Random(0).sample(starter_texts(), 64)
    rows = [np.asarray([windows[0].input_ids], dtype=np.int64) for windows in encoder.encode(texts)]
    inputs = [{"input_ids": ids, "attention_mask": np.ones_like(ids)} for ids in rows]
    write_openvino_int8(graph, place, inputs)


def write_single_graphs(singles: Mapping[str, Path]) -> dict[str, Path]:
    """Write one ONNX file in fp32 for each single model, and return them by task."""
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    from pointsman.export.onnx import write_onnx
    from pointsman.models.graph import OneHead
    from pointsman.models.network import quiet
    from pointsman.tasks.catalogue import TASKS as CATALOGUE

    found = {}
    for name, place in singles.items():
        found[name] = place / "model.onnx"
        if found[name].is_file():
            continue
        token = CATALOGUE[name].level == "token"
        kind = AutoModelForTokenClassification if token else AutoModelForSequenceClassification
        with quiet():
            model = kind.from_pretrained(place, dtype="float32").eval()
        write_onnx(OneHead(model), ["logits"], found[name])
    return found
