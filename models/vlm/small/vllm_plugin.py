"""The entry point by which vLLM learns of the small backbone (setup.py: vllm.general_plugins), in each process."""


def register() -> None:
    """Tells transformers and vLLM of the architecture. The model's own code is imported where it is built, not here."""
    from vllm import ModelRegistry

    from .config import register_configs
    from .facts import ARCHITECTURE

    register_configs()
    ModelRegistry.register_model(ARCHITECTURE, "maia.models.vlm.small.served:ServedMaiaLlava")
