"""Clauses on the tensors of a model directory, and on what says that they are merged."""

from __future__ import annotations

from pointsman.export.clauses import Clause, Outcome, failed, names, passed, unneeded
from pointsman.export.reading import LORA, ModelDirectory, is_count, is_number, needing
from pointsman.export.tensors import Tensor

FORBIDDEN = ("lora_", "base_model.model.", "modules_to_save", "_orig_mod.")
SPELLINGS = (("rank", "r"), ("alpha", "lora_alpha"), ("dropout", "lora_dropout"))
Shapes = dict[str, tuple[int, ...]]


def _modernbert(sizes: dict[str, int]) -> Shapes:
    """Return the names and shapes of ModernBERT's tensors, without the classifier's."""
    hidden, inner = sizes["hidden_size"], sizes["intermediate_size"]
    shapes: Shapes = {
        "model.embeddings.tok_embeddings.weight": (sizes["vocab_size"], hidden),
        "model.embeddings.norm.weight": (hidden,),
        "model.final_norm.weight": (hidden,),
        "head.dense.weight": (hidden, hidden),
        "head.norm.weight": (hidden,),
    }
    for layer in range(sizes["num_hidden_layers"]):
        own: Shapes = {
            "attn.Wqkv": (3 * hidden, hidden),
            "attn.Wo": (hidden, hidden),
            "mlp.Wi": (2 * inner, hidden),
            "mlp.Wo": (hidden, inner),
            "mlp_norm": (hidden,),
        }
        if layer:
            own["attn_norm"] = (hidden,)
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in own.items()}
    return shapes


def _bert(sizes: dict[str, int], *, pooler: bool) -> Shapes:
    """Return the names and shapes of BERT's tensors, without the classifier's."""
    hidden, inner = sizes["hidden_size"], sizes["intermediate_size"]
    linear = {"bert.pooler.dense": (hidden, hidden)} if pooler else {}
    norms = ["bert.embeddings.LayerNorm"]
    for layer in range(sizes["num_hidden_layers"]):
        at = f"bert.encoder.layer.{layer}"
        linear |= {f"{at}.attention.self.{x}": (hidden, hidden) for x in ("query", "key", "value")}
        linear |= {
            f"{at}.attention.output.dense": (hidden, hidden),
            f"{at}.intermediate.dense": (inner, hidden),
            f"{at}.output.dense": (hidden, inner),
        }
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    shapes: Shapes = {
        "bert.embeddings.word_embeddings.weight": (sizes["vocab_size"], hidden),
        "bert.embeddings.position_embeddings.weight": (sizes["max_position_embeddings"], hidden),
    }
    for name, (rows, columns) in linear.items():
        shapes |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    for name in norms:
        shapes |= {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}
    return shapes


TOKEN_TYPES = "bert.embeddings.token_type_embeddings.weight"  # of any number of rows


def _expected(directory: ModelDirectory) -> Shapes | None:
    sizes = directory.sizes
    if sizes is None or directory.family not in ("modernbert", "bert"):
        return None
    if directory.family == "modernbert":
        return _modernbert(sizes)
    # The router's own token classifier reads no pooler, and transformers' has none.
    return _bert(sizes, pooler=directory.sequence)


@needing("tensors", "sizes")
def _names(directory: ModelDirectory) -> Outcome:
    expected = _expected(directory)
    if expected is None:
        return unneeded("names of its family are not part of the contract")
    tensors = directory.tensors or {}
    wanted = [*expected, "classifier.weight"]
    if directory.family == "bert":
        wanted.append(TOKEN_TYPES)
    missing = [name for name in wanted if name not in tensors]
    return failed(f"missing: {names(missing)}") if missing else passed("all of its family's")


@needing("tensors")
def _classifier_bias(directory: ModelDirectory) -> Outcome:
    if "classifier.bias" not in (directory.tensors or {}):
        return failed("missing: classifier.bias")
    return passed("classifier.bias")


@needing("tensors", "sizes")
def _layers(directory: ModelDirectory) -> Outcome:
    expected = _expected(directory)
    if expected is None:
        return unneeded("layers of its family are not part of the contract")
    extra = [
        name
        for name in directory.tensors or {}
        if name.startswith(("model.layers.", "bert.encoder.layer.")) and name not in expected
        and not name.endswith(".bias") and not any(word in name for word in FORBIDDEN)
    ]  # fmt: skip
    if extra:
        return failed(f"weights of layers that the configuration does not have: {names(extra)}")
    return passed(f"{(directory.sizes or {})['num_hidden_layers']} layers")


@needing("tensors")
def _biases(directory: ModelDirectory) -> Outcome:
    if directory.family != "modernbert":
        return unneeded("no ModernBERT")
    extra = [
        name
        for name in directory.tensors or {}
        if name.endswith(".bias") and name.startswith(("model.", "head."))
    ]
    return (
        failed(f"{names(extra)}: these are left out") if extra else passed("the classifier's alone")
    )


@needing("tensors")
def _merged(directory: ModelDirectory) -> Outcome:
    found = [name for name in directory.tensors or {} if any(word in name for word in FORBIDDEN)]
    return failed(names(found)) if found else passed("plain names")


@needing("tensors")
def _dtype(directory: ModelDirectory) -> Outcome:
    other = {name: t.dtype for name, t in (directory.tensors or {}).items() if t.dtype != "F32"}
    if other:
        return failed(f"{names(sorted(set(other.values())))}, as in {next(iter(other))}")
    return passed("F32")


@needing("tensors", "sizes")
def _shapes(directory: ModelDirectory) -> Outcome:
    expected = _expected(directory)
    if expected is None:
        return unneeded("shapes of its family are not part of the contract")
    tensors = directory.tensors or {}
    wrong = [n for n, shape in expected.items() if n in tensors and tensors[n].shape != shape]
    if wrong:
        first = wrong[0]
        return failed(f"{names(wrong)}: {tensors[first].shape}, not {expected[first]}")
    return passed("as the configuration says")


@needing("tensors", "sizes", "labels")
def _classes(directory: ModelDirectory) -> Outcome:
    tensors, count = directory.tensors or {}, len(directory.labels or ())
    hidden = (directory.sizes or {})["hidden_size"]
    wanted = {
        "classifier.weight": Tensor("F32", (count, hidden)),
        "classifier.bias": Tensor("F32", (count,)),
    }
    for name, tensor in wanted.items():
        if name in tensors and tensors[name].shape != tensor.shape:
            return failed(f"{name} {tensors[name].shape}, not {tensor.shape}")
    return passed(f"{count} classes")


def _lora_there(directory: ModelDirectory) -> Outcome:
    if directory.family == "bert":
        fault = directory.faults.get(LORA)
        if fault:
            return failed(f"{fault}: BERT would go through a transposed pooler, or tag 'O'")
        return passed("there")
    return unneeded("not BERT" + ("" if directory.lora is None else "; harmless here"))


@needing("lora")
def _spellings(directory: ModelDirectory) -> Outcome:
    lora = directory.lora or {}
    for long, short in SPELLINGS:
        value = lora.get(long)
        # A dropout may be zero; a rank is a count and an alpha above zero.
        fits = is_count(value) if long == "rank" else is_number(value) or (
            long == "dropout" and value in (0, 0.0) and not isinstance(value, bool)
        )  # fmt: skip
        if not fits or lora.get(short) != value:
            return failed(f"{long} {value!r}, {short} {lora.get(short)!r}")
    targets = lora.get("target_modules")
    if not isinstance(targets, list) or not targets or not all(isinstance(t, str) for t in targets):
        return failed(f"target_modules {targets!r}")
    return passed(f"rank {lora['rank']}, alpha {lora['alpha']:g}")


WEIGHT_CLAUSES: tuple[Clause[ModelDirectory], ...] = (
    Clause("weights.names", "Every tensor that the loader asks for is there by its name.", _names),
    Clause("weights.classifier_bias", "The classifier has a bias.", _classifier_bias),
    Clause(
        "weights.layers",
        "There are no layers, nor norms of the first one, that the model does not have.",
        _layers,
    ),
    Clause("weights.biases", "ModernBERT has no bias but the classifier's.", _biases),
    Clause("weights.merged", "No name is that of an adapter or a wrapper.", _merged),
    Clause("weights.dtype", "Every tensor is F32.", _dtype),
    Clause("weights.shapes", "Shapes are those of the configuration.", _shapes),
    Clause("weights.classes", "The classifier has a row a label.", _classes),
    Clause("lora.there", "BERT has a lora_config.json, whatever it was trained by.", _lora_there),
    Clause("lora.spellings", "lora_config.json says each value in both spellings.", _spellings),
)
