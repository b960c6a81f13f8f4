"""Customers' SMPP sessions: the edge between ``smpp/`` and the journey of ``flow/``."""
