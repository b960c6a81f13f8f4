"""Several nodes on one store: who lives, and what each has for itself (``registry.py``)."""

from smsgw.cluster.registry import Registry

__all__ = ["Registry"]
