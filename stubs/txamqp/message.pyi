from typing import Any

from txamqp import spec

class Message:
    method: spec.Method
    def __init__(
        self, method: spec.Method, fields: tuple[Any, ...], content: Any = None
    ) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
