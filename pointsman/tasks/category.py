"""Which domain a prompt belongs to: the 14 categories of MMLU-Pro, in the router's order."""

from pointsman.tasks.spec import TaskSpec

CATEGORY = TaskSpec(
    name="category",
    title="Category",
    question="Which domain does the prompt belong to?",
    level="sequence",
    labels=(
        "biology",
        "business",
        "chemistry",
        "computer science",
        "economics",
        "engineering",
        "health",
        "history",
        "law",
        "math",
        "other",
        "philosophy",
        "physics",
        "psychology",
    ),
    headline="macro_f1",
    checkpoint="macro_f1",
    sources=("starter", "mmlu_pro"),
)
