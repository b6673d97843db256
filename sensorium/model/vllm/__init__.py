"""Language models that vLLM serves: a server that is started here, or servers that run already."""
