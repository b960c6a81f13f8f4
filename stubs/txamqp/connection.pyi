from typing import Any

from txamqp import spec

class Frame:
    channel: int
    payload: Method
    def __init__(self, channel: int, payload: Method) -> None: ...

class Method:
    method: spec.Method
    args: tuple[Any, ...]
    def __init__(self, method: spec.Method, *args: Any) -> None: ...
