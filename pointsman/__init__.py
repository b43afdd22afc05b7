"""Pointsman trains, proves and serves the small classifiers that route and guard LLM traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Example", "PointsmanError", "PredictedSpan", "Prediction", "Span", "load"]

if TYPE_CHECKING:
    from pointsman.core.errors import PointsmanError
    from pointsman.core.types import Example, PredictedSpan, Prediction, Span
    from pointsman.runtime.predictor import load

_HOME = {
    "Example": "pointsman.core.types",
    "PointsmanError": "pointsman.core.errors",
    "PredictedSpan": "pointsman.core.types",
    "Prediction": "pointsman.core.types",
    "Span": "pointsman.core.types",
    "load": "pointsman.runtime.predictor",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import pointsman` stays instant."""
    if name not in _HOME:
        raise AttributeError(f"module 'pointsman' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
