"""Several answers to a text from one pass: a predictor a head, over one encoder."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.bundle.meta import SharedMeta
from pointsman.core.config import suggest
from pointsman.core.errors import ConfigError
from pointsman.core.types import Prediction
from pointsman.data.encode import TextEncoder
from pointsman.runtime.backend import Backend
from pointsman.runtime.predictor import Predictor, Progress, Reading, read_heads


class SharedPredictor:
    """Answers for every head of a shared bundle.

    Args:
        meta: What the bundle says of itself.
        encoder: Its tokenizer.
        backend: What computes the logits of its heads.
    """

    def __init__(self, meta: SharedMeta, encoder: TextEncoder, backend: Backend) -> None:
        self.meta = meta
        self._encoder = encoder
        self._backend = backend

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of its heads, in the order of the outputs."""
        return tuple(self.meta.heads)

    @property
    def backend_name(self) -> str:
        """Library and precision that compute its logits, as in "torch fp32"."""
        return self._backend.name

    @property
    def digest(self) -> str:
        """Hash of the export that computes its logits; empty where the bundle's own weights do."""
        return self._backend.digest

    def head(self, name: str) -> Predictor:
        """Return one head as a predictor of its own, over the same network.

        Raises:
            ConfigError: If there is no such head.
        """
        if name not in self.meta.heads:
            raise ConfigError(f"a head named {name!r}", fix=suggest(name, self.heads))
        return Predictor(self.meta.heads[name], self._encoder, self._backend)

    def only(self, names: Sequence[str]) -> SharedPredictor:
        """Return a predictor of some heads, in the order of the outputs, over the same network.

        Raises:
            ConfigError: If there is no such head.
        """
        chosen = {name: self.head(name).meta for name in names}
        heads = {name: meta for name, meta in self.meta.heads.items() if name in chosen}
        meta = self.meta.model_copy(update={"heads": heads})
        return SharedPredictor(meta, self._encoder, self._backend)

    def predict(
        self,
        texts: Sequence[str],
        *,
        heads: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, list[Prediction]]:
        """Return each head's predictions, in text order, from one pass over the texts.

        Args:
            texts: Any texts; long ones are read window by window, none is cut off.
            heads: Which heads answer; all when not given. Torch and OpenVINO do not compute the
                others; onnxruntime computes all of them or one alone.
            progress: Called with the number of texts that each batch finished.

        Raises:
            ConfigError: If a head is not known, or as `Predictor.predict` does.
        """
        asked = {name: self.head(name) for name in (self.heads if heads is None else heads)}
        readings = self.read(texts, heads=tuple(asked), progress=progress)
        return {name: head.decide(readings[name]) for name, head in asked.items()}

    def read(
        self, texts: Sequence[str], *, heads: Sequence[str], progress: Progress | None = None
    ) -> dict[str, list[Reading]]:
        """Return the logits of each text for each head; see `Predictor.read`."""
        return read_heads(self._encoder, self._backend, texts, heads, progress)
