"""Latent wires: what one model computed, handed to another."""
