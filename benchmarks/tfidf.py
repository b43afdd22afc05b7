"""TF-IDF with a linear classifier on prepared data: what a model has to beat on the same rows.

python benchmarks/tfidf.py PREPARED...
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from pointsman.data.prepare import load_prepared
from pointsman.evaluation.baselines import tfidf
from pointsman.evaluation.score import scalars, score


def main() -> None:
    """Print one JSON line a directory."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("prepared", nargs="+", type=Path)
    for place in parser.parse_args().prepared:
        data = load_prepared(place)
        started = time.perf_counter()
        model = tfidf(data.spec).fit(data.train)
        predictions = model.predict([example.text for example in data.test])
        figures = scalars(score(data.spec, data.test, predictions))
        seconds = round(time.perf_counter() - started, 1)
        print(json.dumps({"task": data.spec.name, "seconds": seconds, **figures}), flush=True)


if __name__ == "__main__":
    main()
