"""Which personal data a prompt holds: 17 entity types, named as Presidio names them."""

from pointsman.tasks.spec import TaskSpec

PII = TaskSpec(
    name="pii",
    title="PII",
    question="Which personal data does the prompt hold, and where?",
    level="token",
    labels=(
        "AGE",
        "CREDIT_CARD",
        "DATE_TIME",
        "DOMAIN_NAME",
        "EMAIL_ADDRESS",
        "GPE",
        "IBAN_CODE",
        "IP_ADDRESS",
        "NRP",
        "ORGANIZATION",
        "PERSON",
        "PHONE_NUMBER",
        "STREET_ADDRESS",
        "TITLE",
        "US_DRIVER_LICENSE",
        "US_SSN",
        "ZIP_CODE",
    ),
    headline="span_f1",
    checkpoint="span_f1",
    lora_rank=32,
    sources=("starter", "presidio"),
)
