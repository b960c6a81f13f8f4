"""The HTTP edge: server, routing, Basic authentication, and the dialects spoken over it."""
