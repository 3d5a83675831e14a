"""A fixed corpus through the codec of this process; printed, one line a case, when run.

Two processes, one with the compiled codec and one with the pure, must print the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from kvbench import specs
from kvbench.errors import KvbenchError
from kvbench.protocol import CODEC, requests, responses, values
from kvbench.protocol.frames import FrameReader

SEED = 16380


def outcome(call: Callable[[], object]) -> str:
    try:
        return repr(call())
    except (KvbenchError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def cases() -> Iterator[tuple[str, Callable[[], object]]]:
    chance = random.Random(SEED)
    datas = []
    for file in specs.vector_files():
        for entry in [*file.values, *file.invalid_values]:
            datas.append(specs.unhex(entry.bytes)[:5000])
        for entry in file.values:
            yield entry.id, lambda v=entry.value: values.encode_value(v.to_python())
    for data in list(datas):
        for _ in range(5):
            damaged = bytearray(data or b"\x00")
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            datas.append(bytes(damaged))
    for data in datas:
        yield f"decode {data.hex()}", lambda d=data: values.decode_value(d)
        yield f"skip {data.hex()}", lambda d=data: values.skip_value(d, 0)
    parsers = [
        getattr(module, name)
        for module in (requests, responses)
        for name in sorted(dir(module))
        if name.startswith("parse_")
    ]
    batched = (responses.parse_values, responses.parse_flags)
    for vector in specs.vectors():
        for step in vector.steps:
            for _, payload in FrameReader().feed(step.request()):
                for parse in parsers:
                    arguments = (payload[:5000], 2) if parse in batched else (payload[:5000],)
                    yield f"{vector.id} {parse.__name__}", lambda p=parse, a=arguments: p(*a)
    yield from built()


def built() -> Iterator[tuple[str, Callable[[], object]]]:
    odd_values = [object, 2**63, "\ud800", {1: 2}, (1, "x"), 1.5, [b"", {"k": None}], True]
    for value in odd_values:
        yield f"set {value!r}", lambda v=value: requests.set_request(2, b"ns:", "k", v, 5)
        yield f"mset {value!r}", lambda v=value: requests.mset_request(b"", [("a", 1), ("b", v)], 0)
        yield f"cas {value!r}", lambda v=value: requests.cas_request(b"", "k", v, v, 0)
    for key in ["k", "", "é" * 200, "\ud800", "x" * 256]:
        yield f"key {key!r}", lambda k=key: requests.key_request(1, b"", k)
        yield f"keys {key!r}", lambda k=key: requests.keys_request(14, b"n:", ["a", k])
    for number in (0, -1, 2**63 - 1, 2**63, True):
        yield f"incr {number}", lambda n=number: requests.counter_request(5, b"", "k", n)
        yield f"expire {number}", lambda n=number: requests.expire_request(b"", "k", n)


def lines() -> list[str]:
    return [f"{name} -> {outcome(call)}" for name, call in cases()]


if __name__ == "__main__":
    print(CODEC)
    print("\n".join(lines()).encode("ascii", "backslashreplace").decode())
