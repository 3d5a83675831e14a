"""Mutants that no client can notice, in narrow groups, each with its reason.

A group names a module, a function and the changes in it. Whoever changes the code changes the
groups: one that matches nothing is out of date, and one that matches a mutant that a case kills is
wrong (``test_mutation.py`` looks for both).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .operators import Mutation


@dataclass(frozen=True, slots=True)
class Equivalent:
    """A group of mutants that answer every request as the original does.

    Attributes:
        reason: why no client can notice.
        module: dotted name, without ``kvbench.``
        place: a regular expression for the whole dotted name of the function.
        change: one that occurs in the change and its number, as in "`0` → `1` #2"; empty for all.
    """

    reason: str
    module: str
    place: str
    change: str = ""

    def matches(self, mutation: Mutation) -> bool:
        """Whether the mutant belongs to this group."""
        return (
            mutation.module == f"kvbench.{self.module}"
            and re.fullmatch(self.place, mutation.place) is not None
            and re.search(self.change, f"{mutation.change} #{mutation.number}") is not None
            # A condition is shown with all that it guards, so a group has to name it.
            and (mutation.operator != "condition" or self.change.startswith("^`if"))
        )


TURNS = "It decides how much work is done before other connections have a turn, not what it gives."
MEMORY = "It reserves room for the case that an allocation fails, which no request brings about."
SHORTCUT = "It decides whether a faster way is taken; the slower one gives the same answer."
CLIENT = "Only clients encode with it; the server loads it and never uses it."
OVERWRITTEN = "The value is replaced before anything reads it."
UNUSED = "Nothing in the server reads it: callers pass the argument, or drop the result."
MESSAGE = "It changes a number in the text of a refusal, which no clause prescribes."
FALSY = "None and False are the same to the only caller."
STATISTICS = "It counts for INFO members beyond `entries`, which no clause prescribes."
BEYOND = "It concerns exponents far beyond those that a server must keep (VALUE-006)."
DEPTH = "A server says itself how deep a value may be beyond 100 levels (VALUE-013, VALUE-019)."
BLOCKS = "Blocks of another size hold the same counts."
UPPER_BYTE = (
    "The byte is the upper one of a key's length: 0 or 1, or the key is refused as too long."
)
LATER = "It stands for the deadline of a key without one: any moment to come will do."
CLOSING = "The connection has been refused and reads nothing more."
MILLISECOND = (
    "A key goes within the millisecond after its deadline: no client knows it more exactly."
)

EQUIVALENTS: tuple[Equivalent, ...] = (
    # --- protocol.check ---
    Equivalent(TURNS, "protocol.check", r"ValueCheck\.advance",
               r"`steps (-=|> 0` → `steps >=)|BYTES_PER_STEP"),
    Equivalent(TURNS, "protocol.check", r"skip_value", r"`0` → `1`"),
    Equivalent(TURNS, "protocol.check", r"ValueCheck\.advance", r"^`0` → `-?1` #1$"),
    Equivalent(SHORTCUT, "protocol.check", r"skip_short_value", r"end - start > TEXT_PIECE_BYTES"),
    # --- protocol.parsers ---
    Equivalent(TURNS, "protocol.parsers", r"\w+\.advance",
               r"`steps (-=|> 0` → `steps >=)|BYTES_PER_STEP"),
    Equivalent(SHORTCUT, "protocol.parsers", r"\w+\.__init__",
               r"^`len\(payload\) <= TEXT_PIECE_BYTES` → `len\(payload\) < "),
    Equivalent(FALSY, "protocol.parsers", r"\w+\.advance", r"`return False` → `return None`"),
    Equivalent(OVERWRITTEN, "protocol.parsers", r"(Entries|Pairs)Parser\.__init__",
               r"`b''`|ValueCheck\(payload, 0\)|self\._(key|ttl_ms) = "),
    Equivalent(MESSAGE, "protocol.parsers", r"take_key", r"^`refuse_key|` → `len.* \+ start - 2`"),
    Equivalent(TURNS, "protocol.parsers", r"(Pairs|Entries)Parser\.advance", r"^`0` → `-?1` #1$"),
    Equivalent(OVERWRITTEN, "protocol.parsers", r"EntriesParser\.__init__", r"^`0` → .* #[23]$"),
    Equivalent(OVERWRITTEN, "protocol.parsers", r"PairsParser\.__init__", r"^`0` → .* #2$"),
    Equivalent(UPPER_BYTE, "protocol.parsers", r"KeysParser\.__init__", r"^`2` → `3` #2$"),
    Equivalent(UPPER_BYTE, "protocol.parsers", r"PairsParser\.__init__", r"^`10` → `11` #1$"),
    Equivalent(SHORTCUT, "protocol.parsers", r"KeysParser\.__init__", r"^`2` → `1` #2$"),
    Equivalent(SHORTCUT, "protocol.parsers", r"PairsParser\.__init__", r"^`10` → `9` #1$"),
    Equivalent(MESSAGE, "protocol.parsers", r"take_key", r"^`2` → .* #2$|- start [-+] 2` →"),
    Equivalent(MESSAGE, "protocol.parsers", r"refuse_key", r"^`1`|_KEY_BYTES_MAX"),
    # --- protocol.layout ---
    Equivalent(BEYOND, "protocol.layout", r"check_decimal", r"^`0` → .* #[23]$"),
    Equivalent(DEPTH, "protocol.layout", r"", r"`256`"),
    Equivalent(DEPTH, "protocol.layout", r"check_depth", r"NESTING_DEPTH_MAX` → `depth >= "),
    Equivalent(BEYOND, "protocol.layout", r"", r"decimal|1 << 60|`60`|`19`|EMAX|ETINY"),
    Equivalent(UNUSED, "protocol.layout", r"read_bool", r"data\[start\] [!=]= 1`"),
    Equivalent(TURNS, "protocol.layout", r"", r"^`1` → `2` #1$"),
    Equivalent(TURNS, "protocol.layout", r"", r"`128`|`1 << 60`|`60`|`65536`"),
    Equivalent(BEYOND, "protocol.layout", r"check_decimal",
               r"fraction|significant|_EXPONENT_M|exponent "),
    Equivalent(BEYOND, "protocol.layout", r"_exponent",
               r"b'-|is_negative|-exponent|DIGITS_MAX|`b'0'` → `b'0\\x00'` #1$"),
    # --- protocol.encode, requests, responses ---
    Equivalent(CLIENT, "protocol.encode", r"", r"b'\\x0[08]"),
    Equivalent(UNUSED, "protocol.requests", r"parse_hello", r"^`return \(version, "),
    Equivalent(UNUSED, "protocol.requests", r"parse_hello", r"^`0` → .* #1$"),
    Equivalent(CLIENT, "protocol.requests", r"", r"`1`|KEY_BYTES_MAX \+ 1|KEY_BYTES_MAX - 1"),
    Equivalent(OVERWRITTEN, "protocol.responses", r"values_response", r"`b''`"),
    # --- protocol.compare ---
    Equivalent(TURNS, "protocol.compare", r"ValueComparison\.(advance|_advance_map|_compare_run)",
               r"steps|BYTES_PER_STEP|_STEPS_PER_KEY"),
    Equivalent(TURNS, "protocol.compare", r"MapIndex\.advance", r"taken|steps|_STEPS_PER_KEY|// 8"),
    Equivalent(TURNS, "protocol.compare", r"", r"`4`|`32`"),
    Equivalent(SHORTCUT, "protocol.compare", r"MapIndex\.__init__",
               r"slots < 2 \* keys_max` → `slots <= |`2 \* keys_max` → `2 \+|`2` → `3` #1$"),
    Equivalent(TURNS, "protocol.compare", r"MapIndex\.(advance|next_key)", r"^`0` → .* #1$"),
    Equivalent(TURNS, "protocol.compare", r"ValueComparison\.advance",
               r"^`[01]` → .* #1$|^`1` → .* #3$"),
    Equivalent(OVERWRITTEN, "protocol.compare", r"ValueComparison\.__init__",
               r"`self\.is_equal = False` → `pass`"),
    # --- protocol.frames ---
    Equivalent(TURNS, "protocol.frames", r"FrameReader\.take",
               r"`budget_bytes > 0` → `budget_bytes >= 0` #1|budget_bytes -=|FRAME_COST"),
    Equivalent(TURNS, "protocol.frames", r"FrameReader\.take", r"frames_taken"),
    Equivalent(TURNS, "protocol.frames", r"", r"^`1` → `2` #1$"),
    Equivalent(TURNS, "protocol.frames", r"", r"`48`|`1 << 60`|`60`"),
    Equivalent(SHORTCUT, "protocol.frames", r"FrameReader\.take", r"`start < size` → `start <= "),
    Equivalent(OVERWRITTEN, "protocol.frames", r"FrameReader\.take", r"^`0` → `-?1` #5$"),
    Equivalent(CLOSING, "protocol.frames", r"FrameReader\._stop",
               r"`0`|self\._(at|data|partial) ="),
    # --- server.dispatch ---
    Equivalent(STATISTICS, "server.dispatch", r"Dispatcher\._count_batch"),
    Equivalent(STATISTICS, "server.dispatch", r"Dispatcher\.(handle|begin)",
               r"stats\.requests|`1`"),
    Equivalent(STATISTICS, "server.dispatch", r"\w+\.\w+", r"_count_batch\(payload\)"),
    Equivalent(SHORTCUT, "server.dispatch", r"Dispatcher\.__init__", r"`64`"),
    Equivalent(SHORTCUT, "server.dispatch", r"Dispatcher\.begin", r"LARGE_BYTES"),
    Equivalent(MEMORY, "server.dispatch", r"Dispatcher\.(handle|begin)", r"reserve"),
    Equivalent(SHORTCUT, "server.dispatch", r"Dispatcher\._note_size",
               r"`len\(payload\) > .*` → `len\(payload\) >= "),
    # --- engine ---
    Equivalent(MEMORY, "engine.engine", r"Engine\._put", r"^`if key in self\._data: "),
    Equivalent(LATER, "engine.engine", r"Engine\._expire", r"^`1` → `2` #1$"),
    Equivalent(MEMORY, "engine.deadlines", r"Deadlines\.move", r"^`1` → .* #[45]$"),
    Equivalent(DEPTH, "protocol.check", r"ValueCheck\.advance", r"^`1` → `2` #2$"),
    Equivalent(BLOCKS, "engine.counts", r"", r"`13`|`26`"),
    Equivalent(MEMORY, "engine.change", r"TrackedDict\.(room|count_removal)"),
    Equivalent(MEMORY, "engine.change", r"TrackedDict\.__init__", r"`0`"),
    Equivalent(MEMORY, "engine.change", r"TrackedDict\.store",
               r"on_undo|in_doubt <= 0` → `in_doubt < |room"),
    Equivalent(MEMORY, "engine.change", r"TrackedDict\.remove", r"count_removal"),
    Equivalent(MEMORY, "engine.change", r"", r"`\d+`|_BYTES"),
    Equivalent(MEMORY, "engine.engine", r"Engine\.\w+", r"removed|count_removal"),
    Equivalent(MEMORY, "engine.engine", r"Engine\._remove", r"`1` →"),
    Equivalent(MEMORY, "engine.engine", r"Engine\._put", r"`1` →"),
    Equivalent(MEMORY, "engine.deadlines", r"Deadlines\.\w+", r"count_removal|removed"),
    Equivalent(MEMORY, "engine.deadlines", r"Deadlines\._rebucket", r"on_undo"),
    Equivalent(UNUSED, "engine.engine", r"Engine\.(set|setnx|mset)", r"^`0` → `-?1` #1$"),
    Equivalent(UNUSED, "engine.engine", r"", r"TypeVar"),
    Equivalent(UNUSED, "engine.deadlines", r"", r"TypeVar"),
    Equivalent(FALSY, "engine.engine", r"Engine\.\w+", r"`return False` → `return None`"),
    Equivalent(TURNS, "engine.engine", r"", r"`500`"),
    Equivalent(TURNS, "engine.deadlines", r"Deadlines\.take_due",
               r"taken [+<]|`limit|taken < limit"),
    Equivalent(TURNS, "engine.deadlines", r"Deadlines\._settle", r"_HEAP_SLACK|`2`|`heap = list"),
    Equivalent(TURNS, "engine.deadlines", r"", r"`1024`"),
    Equivalent(MILLISECOND, "engine.deadlines", r"Deadlines\.take_due",
               r"self\.next_ms <= now_ms` → `self\.next_ms < "),
    Equivalent(MILLISECOND, "engine.deadlines", r"Deadlines\.count_due",
               r"self\.next_ms > now_ms` → `self\.next_ms >= "),
    Equivalent(MILLISECOND, "engine.engine", r"Engine\._expire",
               r"next_ms > now_ms` → `self\._deadlines\.next_ms >= |<= now_ms` → .* < now_ms"),
)  # fmt: skip


def reason_of(mutation: Mutation, groups: Iterable[Equivalent] = EQUIVALENTS) -> str:
    """Why no client can notice this mutant; empty if a case should kill it."""
    return next((group.reason for group in groups if group.matches(mutation)), "")


# --- The server in Go ----------------------------------------------------------------------------

SIZES = "The size of a buffer decides when it is written, not what."
ENDING = "It is about connections that are too many or idle, and about the end of the server."

GO_EQUIVALENTS: tuple[tuple[str, str], ...] = (
    (r"NewWriterSize|NewReaderSize", SIZES),
    (r"nestingMax += |→ `if depth >= nestingMax|→ `p\.skipValue\(1\)", DEPTH),
    (r"10 \* time\.Millisecond|200 \* time|stopping\.Load|len\(s\.open\) |delete\(s\.open", ENDING),
    (r"→ `s\.running\.Add\(2\)", ENDING),
    (
        r"→ `header := append\(\[\]byte\{r\.status\}, [01, ]+\)`",
        "The length overwrites these bytes.",
    ),
    (r"→ `size := 1`", "A reply may be longer than 64 MiB (LIMIT-011)."),
    (r"→ `return 1, err", "The number beside an error is never read."),
)
"""What a change has, and why no client can notice it."""


def go_reason_of(name: str) -> str:
    """Why no client can notice a mutant of the server in Go; empty if a case should kill it."""
    return next((reason for pattern, reason in GO_EQUIVALENTS if re.search(pattern, name)), "")
