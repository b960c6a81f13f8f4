"""Alembic's migrations of the store, applied by ``database.open_store``."""
