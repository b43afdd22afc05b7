"""Whether a prompt tries to get round safety rules.

A plain harmful request circumvents nothing: it is a kind of its own, kept as a slice unless a
recipe's `positive_kinds` says otherwise.
"""

from pointsman.tasks.spec import TaskSpec

JAILBREAK = TaskSpec(
    name="jailbreak",
    title="Jailbreak",
    question="Does the prompt try to circumvent safety rules?",
    level="sequence",
    labels=("benign", "jailbreak"),
    headline="recall_at_fpr_1",
    checkpoint="roc_auc",
    lora_rank=12,
    sources=("starter", "jailbreak_classification", "toxic_chat", "salad_data"),
    positive="jailbreak",
    kinds=("benign", "jailbreak", "injection", "harmful", "toxic"),
    positive_kinds=("jailbreak", "injection"),
    negative_kinds=("benign",),
)
