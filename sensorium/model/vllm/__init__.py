"""Language models that vLLM serves."""
