"""Content-addressed blobs that parts refer to, who holds them, and what else lies among them."""

from sensorium.store.store import Store

__all__ = ["Store"]
