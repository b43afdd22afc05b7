"""The network: a backbone with the head that its task needs.

Heads are those of transformers, so that a finished bundle loads with
`AutoModelForSequenceClassification` or `AutoModelForTokenClassification` and nothing of ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pointsman.core.config import Closed
from pointsman.core.errors import ConfigError
from pointsman.models.adapters import LoraOptions, add_lora
from pointsman.models.weights import Backbone
from pointsman.tasks.labels import model_labels
from pointsman.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig


class NetworkOptions(Closed):
    """What of the network a recipe may set."""

    dropout: float | None = Field(
        None, ge=0, lt=1, description="Of the hidden states; the backbone's own when not given."
    )
    attention_dropout: float | None = Field(
        None, ge=0, lt=1, description="Of the attention; the preset's when not given."
    )
    head_dropout: float | None = Field(
        None, ge=0, lt=1, description="Before the classifier; the backbone's own when not given."
    )
    freeze_embeddings: bool = Field(False, description="Leave the embeddings as they are.")
    freeze_layers: int = Field(0, ge=0, description="Leave so many lower layers as they are, too.")


@dataclass(slots=True)
class Network:
    """A model that is ready to train.

    Attributes:
        model: The (possibly adapted) transformers model.
        fresh: Paths of its modules that the checkpoint did not hold.
    """

    model: Any
    fresh: tuple[str, ...]


def build_network(
    backbone: Backbone,
    spec: TaskSpec,
    *,
    lora: LoraOptions | None = None,
    options: NetworkOptions | None = None,
    seed: int = 0,
) -> Network:
    """Load a backbone, put the task's head on it, and say which parameters train.

    Args:
        backbone: The encoder to start from; a bundle's directory continues its training.
        spec: The task.
        lora: Adapt by LoRA; None trains every parameter.
        options: Dropout and freezing.
        seed: Seed of the fresh weights.
    """
    import torch
    from transformers import set_seed

    set_seed(seed)
    options = options or NetworkOptions()
    config = _configuration(backbone, spec, options)
    with quiet():
        model, report = auto_class(spec).from_pretrained(
            backbone.path,
            config=config,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # a warm start may bring a head of other labels
            output_loading_info=True,
        )
    fresh = _modules({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    adapted = model
    if lora is not None:
        adapted = add_lora(model, backbone.family, lora, fresh or ("classifier",))
    freeze(model, backbone, options)  # after the adapters, which stand inside the layers
    return Network(adapted, fresh)


def auto_class(spec: TaskSpec) -> Any:
    """Return the transformers class that loads the task's bundles."""
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    if spec.level == "token":
        return AutoModelForTokenClassification
    return AutoModelForSequenceClassification


def _configuration(backbone: Backbone, spec: TaskSpec, options: NetworkOptions) -> PreTrainedConfig:
    from transformers import AutoConfig

    labels = model_labels(spec)
    config = AutoConfig.from_pretrained(
        backbone.path,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    if spec.level == "sequence":
        config.problem_type = "single_label_classification"
    settings = dict(backbone.family.config)
    if options.attention_dropout is not None:
        settings[backbone.family.attention_dropout] = options.attention_dropout
    if options.dropout is not None:
        settings[_known(config, "hidden_dropout_prob", "mlp_dropout", "dropout")] = options.dropout
    if options.head_dropout is not None:
        settings[_known(config, "classifier_dropout", "seq_classif_dropout")] = options.head_dropout
    for name, value in settings.items():
        setattr(config, name, value)
    return config


def _known(config: Any, *names: str) -> str:
    for name in names:
        if hasattr(config, name):
            return name
    raise ConfigError(f"a backbone with one of {', '.join(names)}", got=config.model_type)


def _modules(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the modules that hold the given parameters."""
    return tuple(sorted({key.rpartition(".")[0] for key in keys}))


def freeze(model: Any, backbone: Backbone, options: NetworkOptions) -> None:
    """Stop the lower parts of the encoder from training.

    Raises:
        ConfigError: If there are fewer layers than asked for.
    """
    if options.freeze_embeddings or options.freeze_layers:
        _stop(model.base_model.embeddings)
    if not options.freeze_layers:
        return
    layers = _layers(model)
    if options.freeze_layers > len(layers):
        raise ConfigError(
            f"freeze_layers of at most {len(layers)} for {backbone.name}", got=options.freeze_layers
        )
    for layer in layers[: options.freeze_layers]:
        _stop(layer)


def _stop(module: Any) -> None:
    for parameter in module.parameters():
        parameter.requires_grad = False


def _layers(model: Any) -> list[torch.nn.Module]:
    base = model.base_model
    for holder in (base, getattr(base, "encoder", None), getattr(base, "transformer", None)):
        for name in ("layers", "layer"):
            found = getattr(holder, name, None)
            if found is not None:
                return list(found)
    raise ConfigError("an encoder whose layers can be listed", got=type(base).__name__)


def load_network(path: Path, spec: TaskSpec) -> Any:
    """Load a finished model, in fp32, ready to answer."""
    import torch

    with quiet():
        return auto_class(spec).from_pretrained(path, dtype=torch.float32).eval()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing bars over ours and from reporting fresh heads at length."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
