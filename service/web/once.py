"""A value of an object that is made when it is first asked for, and kept."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

Value = TypeVar("Value")


class once(Generic[Value]):  # noqa: N801 - a decorator, as `functools.cached_property` is
    """What `functools.cached_property` is, without its lock: of what one request makes and nobody shares.

    With the lock of Python 3.11 the values of a worklist take three times as long to keep.
    """

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: object | None, owner: type) -> Self | Value:
        if instance is None:
            return self
        # Found there from now on: without `__set__` this comes after what the instance has itself.
        value = instance.__dict__[self._name] = self._make(instance)
        return value
