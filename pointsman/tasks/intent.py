"""Which kind of tool a prompt needs, and the tools of each kind."""

from pointsman.tasks.spec import TaskSpec

INTENT = TaskSpec(
    name="intent",
    title="Intent",
    question="Which kind of tool does the prompt need?",
    level="sequence",
    labels=(
        "information_retrieval",
        "data_transformation",
        "calculation",
        "communication",
        "scheduling",
        "file_operations",
        "analysis",
        "no_function_needed",
    ),
    headline="macro_f1",
    checkpoint="macro_f1",
    sources=("starter", "glaive"),
    tools={
        "information_retrieval": ("web_search", "weather_api", "knowledge_base"),
        "data_transformation": ("format_converter", "data_processor"),
        "calculation": ("calculator", "math_solver", "statistics"),
        "communication": ("email_client", "messaging_apis"),
        "scheduling": ("calendar_api", "reminder_system"),
        "file_operations": ("file_reader", "file_writer", "cloud_storage"),
        "analysis": ("data_analyzer", "text_summarizer"),
        "no_function_needed": (),
    },
)
