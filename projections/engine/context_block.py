"""The context block: a value of a context variable that holds within a block."""

from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")


class ContextBlock(Generic[T]):
    """A block in which a context variable has a value. It costs a third of a generator."""

    __slots__ = ("_token", "_value", "_variable")

    def __init__(self, variable: ContextVar[T], value: T) -> None:
        self._variable, self._value = variable, value

    def __enter__(self) -> None:
        self._token = self._variable.set(self._value)

    def __exit__(self, *_: object) -> None:
        self._variable.reset(self._token)
