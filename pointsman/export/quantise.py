"""Int8 for onnxruntime, and the search for what had better stay in higher precision.

Weights take seven of int8's eight bits. CPUs without VNNI instructions (x86 before AVX-512 VNNI or
AVX-VNNI) add two products of unsigned activations and signed weights in 16 bits and clamp the sum,
so that weights of eight bits answer wrongly there, on nothing but some machines. 2 * 255 * 64 fits.

A network is quantised whole first. If its decisions are not those of torch, its parts are ranked
by how much nearer its logits come when that part alone is left out, and the worst parts are left
out, twice as many each time, until the decisions agree.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.core.files import storage_errors

Quantise = Callable[[Sequence[str]], None]  # takes the operations that stay as they are
_LAYER = re.compile(r"(.*\blayers?\.\d+)\.(\w+)")  # of a module's path
_SCOPES = "pkg.torch.onnx.name_scopes"  # where torch's exporter says which module made a node
_PRODUCTS = ("MatMul", "Gemm")


@dataclass(frozen=True, slots=True)
class Search:
    """What the search left in higher precision.

    Attributes:
        ignored: Names of the parts, the most sensitive first.
        parts: How many parts the network has.
        agreement: Share of decisions on the search's rows that are those of torch.
    """

    ignored: tuple[str, ...]
    parts: int
    agreement: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "higher_precision": list(self.ignored),
            "parts": self.parts,
            "search_agreement": self.agreement,
        }


def write_onnx_int8(onnx_file: Path, file: Path, ignored: Sequence[str] = ()) -> None:
    """Quantise the weights of an ONNX file to -64 to 64; activations are quantised as they come.

    Args:
        onnx_file: The graph.
        file: The file to write.
        ignored: Names of the graph's nodes that stay as they are.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(onnx_file)
    # torch notes shapes of weights as they were before it turned them, and inference trips on that
    del model.graph.value_info[:]
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it advises on the root logger to run a step for pictures
    try:
        with storage_errors(file):
            quantize_dynamic(
                model,
                str(file),
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                reduce_range=True,
                nodes_to_exclude=list(ignored),
                extra_options={"MatMulConstBOnly": True},
            )
    finally:
        logger.setLevel(level)


def parts_of(onnx_file: Path) -> dict[str, tuple[str, ...]]:
    """Return the matrix products of a graph by the part of the network that they belong to.

    A part is the attention of a layer, its feed-forward block, or a head: the first module below
    a layer, or the innermost module elsewhere.
    """
    import onnx

    graph = onnx.load(onnx_file, load_external_data=False).graph
    parts: dict[str, list[str]] = {}
    for node in graph.node:
        if node.op_type in _PRODUCTS:
            scopes = next((p.value for p in node.metadata_props if p.key == _SCOPES), "")
            parts.setdefault(_part(scopes) or node.name, []).append(node.name)
    return {part: tuple(names) for part, names in parts.items()}


def _part(scopes: str) -> str:
    """Return the part that a node belongs to, from the modules that it stands in."""
    modules = re.findall(r"'([^']*)'", scopes)[:-1]  # the last is the operation itself
    for module in modules:
        found = _LAYER.fullmatch(module)
        if found:
            return f"{found[1]}.{found[2]}"
    return modules[-1] if modules else ""


def search(
    parts: dict[str, tuple[str, ...]],
    quantise: Quantise,
    *,
    rough: Quantise,
    error: Callable[[], float],
    agreement: Callable[[], float],
    needed: float,
) -> Search:
    """Quantise a network, leaving out as few parts as its decisions allow.

    Args:
        parts: Operations of each part.
        quantise: Quantises the network without some operations.
        rough: The same, quicker, for the ranking.
        error: Error of the logits of what was quantised last.
        agreement: Share of its decisions that are those of torch.
        needed: The share that ends the search.
    """

    def attempt(ignored: Sequence[str]) -> Search:
        quantise([name for part in ignored for name in parts[part]])
        return Search(tuple(ignored), len(parts), agreement())

    best = attempt([])
    if best.agreement >= needed:
        return best
    errors = {}
    for part, names in parts.items():
        rough(names)
        errors[part] = error()
    ranked = sorted(parts, key=lambda part: errors[part])
    count, last = 1, best
    while count <= len(parts) // 2 and best.agreement < needed:
        last = attempt(ranked[:count])
        best = max(best, last, key=lambda found: found.agreement)
        count *= 2
    return best if best is last else attempt(best.ignored)
