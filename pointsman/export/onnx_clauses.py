"""Clauses on a directory that holds an ONNX graph, as a semantic router loads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointsman.bundle.layout import CONFIG, TOKENIZER
from pointsman.export.clauses import Clause, Outcome, failed, names, passed, unneeded
from pointsman.export.reading import ModelDirectory, read_directory

GRAPH = "model.onnx"
PLACES = (GRAPH, f"onnx/{GRAPH}")
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "logits"
WHOLE, FLOATS = "tensor(int64)", ("tensor(float)", "tensor(float16)")


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph: its type, and its sides, which are numbers where fixed."""

    type: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class GraphDirectory:
    """What was read of a directory with an ONNX graph.

    Attributes:
        files: Its other files.
        places: Where its graph lies; more than one place is allowed, and the first counts.
        inputs: Inputs of the graph; None where it does not load.
        outputs: Its outputs.
        fault: Why the graph does not load.
    """

    files: ModelDirectory
    places: tuple[str, ...]
    inputs: dict[str, Port] | None = None
    outputs: dict[str, Port] = field(default_factory=dict)
    fault: str = ""


def read_graph(path: Path) -> GraphDirectory:
    """Read a directory and the face of its graph, which onnxruntime loads without optimising it."""
    files = read_directory(path)
    places = tuple(place for place in PLACES if (path / place).is_file())
    if not places:
        return GraphDirectory(files, places)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what it says is said by a clause
    try:
        session = onnxruntime.InferenceSession(
            path / places[0], options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises a class a kind, all plain Exceptions
        return GraphDirectory(files, places, fault=type(error).__name__)
    return GraphDirectory(
        files, places, _ports(session.get_inputs()), _ports(session.get_outputs())
    )


def _ports(found: Any) -> dict[str, Port]:
    return {
        port.name: Port(port.type, tuple(s if isinstance(s, int) else None for s in port.shape))
        for port in found
    }


def _graph_file(directory: GraphDirectory) -> Outcome:
    if not directory.places:
        return failed(f"no {' and no '.join(PLACES)}")
    return passed(directory.places[0])


def _config_file(directory: GraphDirectory) -> Outcome:
    fault = directory.files.faults.get(CONFIG)
    return failed(fault) if fault else passed("an object")


def _tokenizer_file(directory: GraphDirectory) -> Outcome:
    fault = directory.files.faults.get(TOKENIZER)
    return failed(fault) if fault else passed("an object")


def _loads(directory: GraphDirectory) -> Outcome:
    if not directory.places:
        return unneeded("no graph")
    if directory.inputs is None:
        return failed(directory.fault)
    return passed("onnxruntime loads it")


def _inputs(directory: GraphDirectory) -> Outcome:
    if directory.inputs is None:
        return unneeded("no graph that loads")
    if set(directory.inputs) != set(INPUTS):
        return failed(names(directory.inputs) or "none")
    return passed(names(directory.inputs))


def _known_inputs(directory: GraphDirectory) -> dict[str, Port]:
    return {name: port for name, port in (directory.inputs or {}).items() if name in INPUTS}


def _whole_numbers(directory: GraphDirectory) -> Outcome:
    found = {name: port.type for name, port in _known_inputs(directory).items()}
    if not found:
        return unneeded("none of the inputs")
    wrong = [f"{name} {kind}" for name, kind in found.items() if kind != WHOLE]
    return failed(names(wrong)) if wrong else passed(WHOLE)


def _dynamic(directory: GraphDirectory) -> Outcome:
    found = {name: port.shape for name, port in _known_inputs(directory).items()}
    if not found:
        return unneeded("none of the inputs")
    wrong = [f"{name} {shape}" for name, shape in found.items() if shape != (None, None)]
    return failed(names(wrong)) if wrong else passed("batch and length are free")


def _output(directory: GraphDirectory) -> Outcome:
    if directory.inputs is None:
        return unneeded("no graph that loads")
    if OUTPUT not in directory.outputs:
        return failed(names(directory.outputs))
    return passed(OUTPUT)


def _output_type(directory: GraphDirectory) -> Outcome:
    port = directory.outputs.get(OUTPUT)
    if port is None:
        return unneeded(f"no output {OUTPUT}")
    return passed(port.type) if port.type in FLOATS else failed(port.type)


def _rank(directory: GraphDirectory) -> Outcome:
    port = directory.outputs.get(OUTPUT)
    if port is None:
        return unneeded(f"no output {OUTPUT}")
    rank, told = len(port.shape), str((directory.files.config or {}).get("architectures"))
    if rank not in (2, 3):
        return failed(f"{rank} dimensions")
    for word, wanted in (("SequenceClassification", 2), ("TokenClassification", 3)):
        if word in told and rank != wanted:
            return failed(f"{rank} dimensions, and architectures {told}")
    return passed(f"{rank} dimensions")


def _classes(directory: GraphDirectory) -> Outcome:
    port, labels = directory.outputs.get(OUTPUT), directory.files.labels
    if port is None or labels is None or not port.shape or port.shape[-1] is None:
        return unneeded("no fixed number of classes, or no labels in config.json")
    if port.shape[-1] != len(labels):
        return failed(f"{port.shape[-1]} classes, and {len(labels)} labels in config.json")
    return passed(f"{len(labels)} classes")


ONNX_CLAUSES: tuple[Clause[GraphDirectory], ...] = (
    Clause("onnx.graph", "model.onnx lies in the directory or in onnx/ below it.", _graph_file),
    Clause("onnx.config", "config.json lies in the directory itself.", _config_file),
    Clause("onnx.tokenizer", "tokenizer.json lies in the directory itself.", _tokenizer_file),
    Clause("onnx.loads", "The graph loads.", _loads),
    Clause("onnx.inputs", "Its inputs are input_ids and attention_mask, and no other.", _inputs),
    Clause("onnx.int64", "The inputs are int64.", _whole_numbers),
    Clause("onnx.dynamic", "The inputs take any batch and any length.", _dynamic),
    Clause("onnx.logits", "It has an output called logits.", _output),
    Clause("onnx.float", "logits are f32 or f16.", _output_type),
    Clause("onnx.rank", "logits have two dimensions for texts, three for tokens.", _rank),
    Clause("onnx.classes", "logits have a column a label.", _classes),
)
