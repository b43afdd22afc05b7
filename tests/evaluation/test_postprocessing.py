"""The effect of post-processing is the same answers scored twice."""

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.postprocessing import postprocessing_effect
from pointsman.tasks.pii import PII

TEXT = "mail ann@x.org."
ROWS = [Example(TEXT, spans=(Span(5, 14, "EMAIL_ADDRESS"),)), Example("none")]
CUT = (PredictedSpan(5, 15, "EMAIL_ADDRESS", TEXT[5:], 0.9),)
WHOLE = (PredictedSpan(5, 14, "EMAIL_ADDRESS", TEXT[5:14], 0.9),)


def test_with_and_without():
    answers = [
        Prediction("pii", None, 0.9, spans=WHOLE, unprocessed=CUT),
        Prediction("pii", None, 0.0, unprocessed=(PredictedSpan(0, 4, "US_SSN", "none", 0.5),)),
    ]
    effect = postprocessing_effect(PII, ROWS, answers)
    assert effect["with"]["span_f1"] == 1 and effect["without"]["span_f1"] == 0
    assert effect["with"]["clean_share"] == 1 and effect["without"]["clean_share"] == 0
    assert effect["per_type"] == {
        "EMAIL_ADDRESS": {"with": 1.0, "without": 0.0},
        "US_SSN": {"with": 0.0, "without": 0.0},
    }


def test_no_post_processing_no_effect():
    assert postprocessing_effect(PII, ROWS, [Prediction("pii", None, 0.0)] * 2) is None
