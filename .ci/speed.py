"""Print how many microseconds this Python takes for a fixed piece of work like hipway's.

`.ci/python` compares the Pythons of a machine with it: one that was built without profile-guided
optimization (pyenv's default) takes a third longer for this, and a tenth for a page, than a distribution's.
https://docs.python.org/3/using/configure.html#cmdoption-enable-optimizations
"""

import time

TRIES = 9


class _Value:
    __slots__ = ("number", "text")

    def __init__(self, number, text):
        self.number = number
        self.text = text


def _leaves(node):
    if isinstance(node, dict):
        return sum(_leaves(child) for child in node.values())
    if isinstance(node, list):
        return sum(map(_leaves, node))
    return 1


def _work(resource):
    kept = {}
    for number in range(8_000):
        value = _Value(number, str(number))
        if value.number % 3 and isinstance(value.text, str):
            kept[value.text] = value
    return sum(value.number for value in kept.values()) + sum(_leaves(resource) for _ in range(40))


def _main():
    resource = {"entry": [{"code": 1, "value": [1, 2, 3]}, {"subject": {"reference": 5}}] * 20}
    least_us = min(_taken_us(resource) for _ in range(TRIES))
    print(round(least_us))


def _taken_us(resource):
    begun = time.process_time_ns()
    _work(resource)
    return (time.process_time_ns() - begun) / 1000


if __name__ == "__main__":
    _main()
