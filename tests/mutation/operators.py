"""Mutation operators: small faults in Python source, made on its syntax tree.

A mutant differs from the source in one place: a comparison, a boundary, a constant, a Boolean, an
arithmetic operator, an argument's place, or a statement that is gone. Left alone is what no client
can see by design: annotations, docstrings, the text of messages, names of slots, and code that only
a type checker reads.
"""

from __future__ import annotations

import ast
import copy
import threading
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Add,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_SKIPPED_FIELDS = ("annotation", "returns", "type_params", "decorator_list", "bases")
_SKIPPED_NAMES = {"__slots__", "__all__"}
_PARSING = threading.Lock()
"""Python 3.11 counts the depth of a tree that it makes for all threads together, and may refuse."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One fault in one module.

    Attributes:
        module: dotted name.
        place: the function or class, dotted; empty for the module's own level.
        operator: what kind of fault.
        change: the code before and after.
        number: tells apart those that are alike in all of the above, from 1.
        line: in the source as it is.
    """

    module: str
    place: str
    operator: str
    change: str
    number: int
    line: int

    @property
    def name(self) -> str:
        """Stays the same when lines move."""
        again = f" #{self.number}" if self.number > 1 else ""
        return f"{self.module}:{self.place}: {self.operator}: {self.change}{again}"


def mutations(module: str, source: str) -> list[Mutation]:
    """All mutants of a module, in the order of its lines."""
    return sorted([one for one, _, _ in _mutants(module, ast.parse(source))], key=_line)


def mutated(source: str, mutation: Mutation) -> str:
    """The source with one fault.

    Raises:
        LookupError: the source has changed, and has no such place any more.
    """
    with _PARSING:
        tree = ast.parse(source)
    for one, node, fault in _mutants(mutation.module, tree):
        if one.name == mutation.name:
            return ast.unparse(_replaced(tree, node, fault))
    raise LookupError(mutation.name)


def _line(mutation: Mutation) -> int:
    return mutation.line


def _mutants(module: str, tree: ast.Module) -> Iterator[tuple[Mutation, ast.AST, ast.AST]]:
    seen: dict[tuple[str, str, str], int] = {}
    for place, operator, node, fault in _faults(tree):
        change = f"`{_short(ast.unparse(node))}` → `{_short(ast.unparse(fault))}`"
        key = (place, operator, change)
        seen[key] = seen.get(key, 0) + 1
        yield Mutation(module, place, operator, change, seen[key], node.lineno), node, fault


def _short(code: str) -> str:
    return " ".join(code.split())[:70]


def _replaced(tree: ast.Module, node: ast.AST, fault: ast.AST) -> ast.Module:
    """The tree with one node replaced; the tree is not for use afterwards."""

    class Replace(ast.NodeTransformer):
        def visit(self, current: ast.AST) -> ast.AST:
            return fault if current is node else self.generic_visit(current)

    return ast.fix_missing_locations(Replace().visit(tree))


def _faults(tree: ast.Module) -> Iterator[tuple[str, str, ast.AST, ast.AST]]:
    """Place, operator, node and what to put in its place."""
    for place, node in _mutable(tree, ()):
        for operator, fault in _faults_of(node):
            yield place, operator, node, fault


def _mutable(node: ast.AST, place: tuple[str, ...]) -> Iterator[tuple[str, ast.AST]]:
    """Every node that may be got wrong, and where it is."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        place = (*place, node.name)
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield ".".join(place), node
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED_FIELDS or (field == "keywords" and not isinstance(node, ast.Call)):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_text(child):
                yield from _mutable(child, place)


def _is_text(node: ast.AST) -> bool:
    """Docstrings, messages, and lists of names."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())) | ast.JoinedStr():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]) if name in _SKIPPED_NAMES:
            return True
        case ast.Import() | ast.ImportFrom():
            return True
    return False


def _faults_of(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Compare():
            yield from _comparisons(node)
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "boolean", ast.copy_location(ast.BoolOp(other, node.values), node)
        case ast.UnaryOp(op=ast.Not()):
            yield "boolean", node.operand
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            other = _ARITHMETIC[type(node.op)]()
            yield "arithmetic", ast.copy_location(ast.BinOp(node.left, other, node.right), node)
        case ast.AugAssign() if type(node.op) in _ARITHMETIC:
            other = _ARITHMETIC[type(node.op)]()
            fault = ast.AugAssign(node.target, other, node.value)
            yield "arithmetic", ast.copy_location(fault, node)
        case ast.Constant():
            yield from _constants(node)
        case ast.Call() if len(node.args) >= 2:
            yield from _swapped_arguments(node)
        case ast.If() | ast.While() | ast.IfExp() if not isinstance(node.test, ast.Constant):
            fault = copy.copy(node)
            fault.test = ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)
            yield "condition", fault
    yield from _removed(node)


def _comparisons(node: ast.Compare) -> Iterator[tuple[str, ast.AST]]:
    for place, operator in enumerate(node.ops):
        for other in _COMPARISONS.get(type(operator), ()):
            operators = [*node.ops]
            operators[place] = other()
            is_boundary = type(operator) in (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
            kind = "boundary" if is_boundary else "comparison"
            fault = ast.Compare(node.left, operators, node.comparators)
            yield kind, ast.copy_location(fault, node)


def _constants(node: ast.Constant) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        others: tuple[object, ...] = (not value,)
    elif isinstance(value, int):
        others = (value + 1, value - 1)
    elif isinstance(value, bytes):
        others = (value + b"\0" if value else b"\1",)
    else:
        others = ()
    for other in others:
        yield "constant", ast.copy_location(ast.Constant(other), node)


def _swapped_arguments(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    first, second, *rest = node.args
    if isinstance(first, ast.Starred) or isinstance(second, ast.Starred):
        return
    if ast.dump(first) != ast.dump(second):
        fault = ast.Call(node.func, [second, first, *rest], node.keywords)
        yield "arguments", ast.copy_location(fault, node)


def _removed(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield "removed", ast.copy_location(ast.Pass(), node)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "removed", ast.copy_location(ast.Pass(), node)
        case ast.Return(value=ast.AST()) if not _is_none(node.value):
            yield "removed", ast.copy_location(ast.Return(ast.Constant(None)), node)
        case ast.Continue():
            yield "loop", ast.copy_location(ast.Break(), node)
        case ast.Break():
            yield "loop", ast.copy_location(ast.Continue(), node)


def _is_none(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
