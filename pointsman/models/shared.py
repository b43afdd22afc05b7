"""One encoder under several heads.

The network is tied together from ordinary models of transformers, one a task: their embeddings and
common layers are the same modules. So each head stays a true transformers model that can be packed
alone, and the layers' own code computes attention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pointsman.core.errors import ConfigError
from pointsman.core.files import read_json, write_json
from pointsman.models.adapters import LoraOptions, add_lora
from pointsman.models.backbones import find_family
from pointsman.models.balance import BALANCE, Balance
from pointsman.models.network import (
    Network,
    NetworkOptions,
    auto_class,
    build_network,
    freeze,
    quiet,
)
from pointsman.models.weights import Backbone
from pointsman.tasks.labels import model_labels
from pointsman.tasks.spec import TaskSpec

FAMILIES = ("bert", "roberta", "modernbert")
CONFIG, WEIGHTS = "config.json", "model.safetensors"
OF_ONE_HEAD = ("id2label", "label2id", "problem_type", "architectures", "transformers_version")

Step = Callable[[Any, torch.Tensor], torch.Tensor]


class SharedNetwork(nn.Module):
    """An encoder that runs once, and a head a task.

    `encoder` holds the embeddings and the layers that heads share, up to the last that any head
    takes from it; `heads` holds, for each task, the layers of its own, if it has any, and its head.
    The state dict names each weight once.

    Args:
        models: A model of transformers for each task, all of one backbone. They are tied together
            by this and must not be used on.
        specs: The tasks, in the same order.
        trunk_layers: Encoder layers that heads share, for all or by head; the layers above are the
            head's own. All when not given.

    Raises:
        ConfigError: If the family is not known to share, or there are fewer layers.
    """

    encoder: Any
    _models: dict[str, Any]

    def __init__(
        self,
        models: Mapping[str, Any],
        specs: Mapping[str, TaskSpec],
        *,
        trunk_layers: int | Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        first = next(iter(models.values()))
        check_family(first.config.model_type)
        self.config = first.config
        self.names = tuple(models)
        self.levels = {name: specs[name].level for name in models}
        self._place = "layers" if self.config.model_type == "modernbert" else "layer"
        self.depths = _depths(trunk_layers, self.names, len(self._layers(first)))
        # The model that shares most: above its own depth a model's layers are its head's.
        self.encoder = self._common(models[max(self.names, key=self.depths.__getitem__)])
        self.heads = nn.ModuleDict({name: self._own(name, m) for name, m in models.items()})
        self.balance: Balance | None = None
        self.__dict__["_models"] = dict(models)  # not registered: each weight has one name
        for name in self.names:
            self.task_model(name)

    def _layers(self, model: Any) -> nn.ModuleList:
        base = model.base_model
        found: nn.ModuleList = base.layers if self._place == "layers" else base.encoder.layer
        return found

    @property
    def trunk_layers(self) -> int:
        """Encoder layers that all heads have in common."""
        return min(self.depths.values())

    def _whole(self, depth: int) -> bool:
        return depth == int(self.config.num_hidden_layers)

    def _common(self, model: Any) -> nn.Module:
        base, encoder = model.base_model, nn.Module()
        depth = max(self.depths.values())
        encoder.add_module("embeddings", base.embeddings)
        encoder.add_module(self._place, nn.ModuleList(list(self._layers(model))[:depth]))
        if hasattr(base, "rotary_emb"):
            encoder.add_module("rotary_emb", base.rotary_emb)
        if hasattr(base, "final_norm") and self._whole(depth):
            encoder.add_module("final_norm", base.final_norm)
        return encoder

    def _own(self, name: str, model: Any) -> nn.Module:
        base, head, depth = model.base_model, nn.Module(), self.depths[name]
        if not self._whole(depth):
            head.add_module(self._place, nn.ModuleList(list(self._layers(model))[depth:]))
            if hasattr(base, "final_norm"):
                head.add_module("final_norm", base.final_norm)
        if getattr(base, "pooler", None) is not None:
            head.add_module("pooler", base.pooler)
        for path, part in model.named_children():
            if part is not base:
                head.add_module(path, part)
        return head

    def task_model(self, name: str) -> Any:
        """Return one task's whole model, as transformers knows it, of the same weights."""
        model, head = self._models[name], self.heads[name]
        base = model.base_model
        common = list(getattr(self.encoder, self._place))[: self.depths[name]]
        layers = nn.ModuleList([*common, *self._upper(head)])
        setattr(base if self._place == "layers" else base.encoder, self._place, layers)
        for part in ("embeddings", "rotary_emb", "final_norm"):
            if hasattr(base, part):
                setattr(base, part, getattr(head, part, None) or getattr(self.encoder, part))
        for part, module in head.named_children():  # adapters replace them when they come and go
            if part == "pooler":
                base.pooler = module
            elif part not in (self._place, "final_norm"):
                setattr(model, part, module)
        return model

    def _upper(self, head: nn.Module) -> Sequence[nn.Module]:
        return tuple(getattr(head, self._place, ()))

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        heads: Sequence[str] | None = None,
        owners: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return the logits of each head, after one pass of the encoder.

        Args:
            input_ids: Shape `(batch, length)`.
            attention_mask: As `input_ids`; 0 at padding.
            heads: Which heads; all when not given.
            owners: Shape `(batch,)`, the index of each row's head: a head then answers its own
                rows alone, and one without rows is left out.

        Returns:
            For each head `(rows, labels)` or `(rows, length, labels)`.
        """
        asked = self.names if heads is None else tuple(heads)
        hidden = self.encoder.embeddings(input_ids=input_ids)
        step = self._step(hidden, attention_mask)
        at = self._common_states(hidden, step, {self.depths[name] for name in asked})
        answers = {}
        for name in asked:
            depth = self.depths[name]
            mine, mask, own_step = at[depth], attention_mask, step
            if owners is not None:
                rows = owners == self.names.index(name)
                if not rows.any():
                    continue
                mine, mask = mine[rows], attention_mask[rows]
                own_step = step if self._whole(depth) else self._step(mine, mask)
            answers[name] = self._answer(name, mine, mask, own_step)
        return answers

    def _common_states(
        self, hidden: torch.Tensor, step: Step, depths: set[int]
    ) -> dict[int, torch.Tensor]:
        """Return the hidden states after so many common layers, for each depth."""
        at = {0: hidden}
        needed = islice(getattr(self.encoder, self._place), max(depths, default=0))
        for depth, layer in enumerate(needed, start=1):
            hidden = step(layer, hidden)
            if depth in depths:
                at[depth] = hidden
        last = int(self.config.num_hidden_layers)
        if last in at and hasattr(self.encoder, "final_norm"):
            at[last] = self.encoder.final_norm(at[last])
        return at

    def _answer(
        self, name: str, hidden: torch.Tensor, mask: torch.Tensor, step: Step
    ) -> torch.Tensor:
        head: Any = self.heads[name]
        for layer in self._upper(head):
            hidden = step(layer, hidden)
        if hasattr(head, "final_norm"):
            hidden = head.final_norm(hidden)
        sequence = self.levels[name] == "sequence"
        logits: torch.Tensor
        if self.config.model_type == "modernbert":
            if sequence:
                hidden = pool(hidden, mask, self.config.classifier_pooling)
            logits = head.classifier(head.drop(head.head(hidden)))
        elif sequence and self.config.model_type == "roberta":
            logits = head.classifier(hidden)
        else:
            logits = head.classifier(head.dropout(head.pooler(hidden) if sequence else hidden))
        return logits

    def _step(self, hidden: torch.Tensor, attention_mask: torch.Tensor) -> Step:
        """Return what runs one layer, with the masks (and rotations) that its kind needs."""
        from transformers.masking_utils import (
            create_bidirectional_mask,
            create_bidirectional_sliding_window_mask,
        )

        inputs = {
            "config": self.config,
            "inputs_embeds": hidden,
            "attention_mask": attention_mask,
        }
        if self.config.model_type != "modernbert":
            mask = create_bidirectional_mask(**inputs)
            return lambda layer, hidden: layer(hidden, mask)
        kinds = set(self.config.layer_types)
        makers = {
            "full_attention": create_bidirectional_mask,
            "sliding_attention": create_bidirectional_sliding_window_mask,
        }
        places = torch.arange(hidden.shape[1], device=hidden.device).unsqueeze(0)
        masks = {kind: makers[kind](**inputs) for kind in kinds}
        turns = {kind: self.encoder.rotary_emb(hidden, places, kind) for kind in kinds}
        return lambda layer, hidden: layer(
            hidden,
            attention_mask=masks[layer.attention_type],
            position_embeddings=turns[layer.attention_type],
        )

    def set_attn_implementation(self, name: str) -> None:
        """Choose how attention is computed, as on a model of transformers."""
        for model in self._models.values():
            model.set_attn_implementation(name)

    def gradient_checkpointing_enable(self, **keywords: Any) -> None:
        """Recompute activations, as on a model of transformers."""
        for name in self.names:
            self.task_model(name).gradient_checkpointing_enable(**keywords)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return what answers need: each weight once, without what only training knows."""
        return {
            name: tensor.contiguous()
            for name, tensor in self.state_dict().items()
            if name.startswith(("encoder.", "heads."))
        }


def _depths(
    given: int | Mapping[str, int] | None, names: Sequence[str], layers: int
) -> dict[str, int]:
    """Return, for each head, how many layers of the encoder it answers from."""
    if given is None:
        given = layers
    depths = dict.fromkeys(names, given) if isinstance(given, int) else dict(given)
    if set(depths) != set(names):
        raise ConfigError(f"trunk layers of {', '.join(names)}", got=", ".join(depths) or "none")
    for depth in depths.values():
        if not 0 <= depth <= layers:
            raise ConfigError(f"trunk layers from 0 to {layers}", got=depth)
    return depths


def pool(hidden: torch.Tensor, mask: torch.Tensor, how: str) -> torch.Tensor:
    """Return one vector a row, `(batch, width)`, as ModernBERT's sequence head pools them."""
    if how == "cls":
        return hidden[:, 0]
    return (hidden * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def check_family(model_type: str) -> None:
    """Refuse a backbone whose encoder cannot be shared.

    Raises:
        ConfigError: With the families that can.
    """
    if find_family(model_type).model_type not in FAMILIES:
        raise ConfigError(
            f"a shared backbone of the families {', '.join(FAMILIES)}",
            got=model_type,
            fix="choose another backbone, or train a model a task (method full or lora)",
        )


def build_shared(
    backbone: Backbone,
    specs: Mapping[str, TaskSpec],
    *,
    lora: LoraOptions | None = None,
    options: NetworkOptions | None = None,
    seed: int = 0,
    balance: bool = False,
    head_layers: int | Mapping[str, int] = 0,
) -> Network:
    """Load a backbone, put a head a task on it, and say which parameters train.

    Args:
        backbone: The encoder to start from.
        specs: The tasks.
        lora: Adapt the encoder by LoRA; None trains every parameter.
        options: Dropout and freezing.
        seed: Seed of the fresh weights: a head starts as it would in a model of its own.
        balance: Learn the weights of the losses.
        head_layers: Upper encoder layers that each head has of its own, for all or by head, where
            one that is not named has none.

    Raises:
        ConfigError: If the family is not known to share, or the encoder has fewer layers.
    """
    check_family(backbone.model_type)
    options = options or NetworkOptions()
    built = {
        name: build_network(backbone, spec, options=options, seed=seed)
        for name, spec in specs.items()
    }
    models = {name: one.model for name, one in built.items()}
    layers = int(next(iter(models.values())).config.num_hidden_layers)
    if isinstance(head_layers, int):
        head_layers = dict.fromkeys(specs, head_layers)
    depths = {name: layers - head_layers.get(name, 0) for name in specs}
    shared = SharedNetwork(models, specs, trunk_layers=depths)
    fresh = [path for name, one in built.items() for path in _fresh(name, one)]
    if balance:
        shared.balance = Balance(len(specs))
        fresh.append(BALANCE)
    adapted: Any = shared
    if lora is not None:
        adapted = add_lora(shared, backbone.family, lora, fresh)
        for name in shared.names:  # each may have layers of its own
            freeze(shared.task_model(name), backbone, options)
    return Network(adapted, tuple(fresh))


def _fresh(name: str, built: Network) -> list[str]:
    """Return the paths in the shared network of a task model's fresh modules."""
    prefix = f"{built.model.base_model_prefix}."
    paths = built.fresh or ("classifier",)
    return [f"heads.{name}.{path.removeprefix(prefix)}" for path in paths]


def save_shared(network: SharedNetwork, path: Path) -> None:
    """Write weights and configuration; the configuration is the backbone's, without any labels."""
    from safetensors.torch import save_file

    save_file(network.weights(), path / WEIGHTS, metadata={"format": "pt"})
    config = network.config.to_dict()
    write_json(path / CONFIG, {k: v for k, v in config.items() if k not in OF_ONE_HEAD})


def load_shared(
    path: Path, specs: Mapping[str, TaskSpec], trunk_layers: int | Mapping[str, int]
) -> SharedNetwork:
    """Load a shared network, in fp32, ready to answer.

    Raises:
        ValueError: If the weights are not those of such a network.
    """
    from safetensors.torch import load_file

    models = {name: _empty_model(path, spec) for name, spec in specs.items()}
    network = SharedNetwork(models, specs, trunk_layers=trunk_layers)
    network.load_state_dict(load_file(path / WEIGHTS))
    return network.float().eval()


def _empty_model(path: Path, spec: TaskSpec) -> Any:
    """Return a task's model whose weights are yet to be read: memory is taken, not filled."""
    from transformers import AutoConfig
    from transformers.initialization import no_init_weights

    labels = model_labels(spec)
    config = AutoConfig.for_model(
        **read_json(path / CONFIG),
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    with quiet(), no_init_weights():
        return auto_class(spec).from_config(config, dtype=torch.float32)
