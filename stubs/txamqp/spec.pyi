# What smsgw uses of txAMQP 0.8.2, which has no type hints of its own.
from collections.abc import Iterator
from typing import Generic, TypeVar

_Item = TypeVar("_Item")

class SpecContainer(Generic[_Item]):
    items: list[_Item]
    byname: dict[str, _Item]
    byid: dict[int, _Item]
    bypyname: dict[str, _Item]
    def __iter__(self) -> Iterator[_Item]: ...
    def __len__(self) -> int: ...

class Field:
    name: str
    type: str

class Method:
    klass: Class
    name: str
    id: int
    fields: SpecContainer[Field]
    responses: list[Method]
    response: bool

class Class:
    name: str
    id: int
    fields: SpecContainer[Field]
    methods: SpecContainer[Method]

class Spec:
    major: int
    minor: int
    classes: SpecContainer[Class]

def load_string(specfilestr: bytes, specfilename: str | None = None) -> Spec: ...
