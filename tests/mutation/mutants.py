"""The faults that a module can be given, one at a time."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TypeAlias

_Sites: TypeAlias = dict[type[ast.AST], tuple[type[ast.AST], ...]]

COMPARED: _Sites = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""A comparison, moved by its boundary and turned round."""

CALCULATED: _Sites = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitAnd: (ast.BitOr,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
"""An operator and the one put in its place, in sums as in ``+=``."""

CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
"""A function and the one called in its place."""

AROUND = 40
"""Characters shown before and after a difference."""


@dataclass(frozen=True)
class Mutant:
    """One fault in one module.

    ``number`` counts the mutants of the module. ``key`` names the fault wherever its
    line moves: the function, and the line before and after, as Python writes it.
    """

    path: str
    number: int
    key: str


def mutants(path: str, text: str) -> list[Mutant]:
    """List every mutant of a module, in the order of its text.

    Docstrings, annotations, messages of errors and what only type checkers read stay.

    Parameters
    ----------
    path
        Name of the module's file.
    text
        Its source.
    """
    found = []
    times: Counter[str] = Counter()
    for number, key in enumerate(_mutations(ast.parse(text))):
        times[key] += 1
        again = f" #{times[key]}" if times[key] > 1 else ""
        found.append(Mutant(path, number, key + again))
    return found


def mutated(text: str, number: int) -> str:
    """Write the source of a module with one of its mutants.

    Parameters
    ----------
    text
        Its source.
    number
        Which of its mutants, of those that ``mutants`` lists.
    """
    tree = ast.parse(text)
    for _ in islice(_mutations(tree), number + 1):
        source = tree  # the tree holds the fault until the next is asked for
    return ast.unparse(source)


def _mutations(tree: ast.Module) -> Iterator[str]:
    """Put one fault after the other into a tree; yield what names it.

    The fault is there while the generator waits.
    """
    for place in _places(tree, "", tree):
        before = ast.unparse(place.statement).splitlines()
        for changed in _changes(place.node):
            statement = changed if place.node is place.statement else place.statement
            place.put(changed)
            after = ast.unparse(statement).splitlines()
            pairs = zip(before, after, strict=False)
            old, new = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
            if old:
                yield f"{place.function or 'module'}: {_difference(old, new)}"
            place.put(place.node)


def _difference(old: str, new: str) -> str:
    """Show where two lines differ, with some of what stands around it."""
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    left = max(start - AROUND, len(old) - len(old.lstrip()))
    shown = []
    for line in (old, new):
        right = len(line) - end + AROUND
        before, after = "…" * (left == start - AROUND), "…" * (right < len(line))
        shown.append(f"{before}{line[left:right]}{after}")
    return " -> ".join(shown)


def _alike(left: str, right: str) -> int:
    """Count the characters that two texts begin with alike."""
    pairs = zip(left, right, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


@dataclass(frozen=True)
class _Place:
    """Where a node hangs in the tree: a field of its parent, at an index of a list."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST
    function: str
    statement: ast.AST

    def put(self, node: ast.AST) -> None:
        """Hang a node there instead."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def _places(parent: ast.AST, function: str, statement: ast.AST) -> Iterator[_Place]:
    """Yield the places of all nodes below one, each after those above it."""
    for field, value in ast.iter_fields(parent):
        if _stays(parent, field):
            continue
        values = value if isinstance(value, list) else [value]
        for index, node in enumerate(values):
            if not isinstance(node, ast.AST):
                continue
            at = index if isinstance(value, list) else None
            within = node if isinstance(node, ast.stmt) else statement
            inside = function
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                inside = f"{function}.{node.name}".lstrip(".")
            yield _Place(parent, field, at, node, inside, within)
            yield from _places(node, inside, within)


def _stays(parent: ast.AST, field: str) -> bool:
    """Whether what hangs in a field is read by people or type checkers alone."""
    match parent:
        case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Constant()) | ast.Yield(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="__slots__")]):
            return True
    return field in ("annotation", "returns", "decorator_list", "bases")


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in the place of a node."""
    match node:
        case ast.Compare():
            for index, op in enumerate(node.ops):
                for other in COMPARED[type(op)]:
                    ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                    yield _with(node, ops=ops)
        case ast.BinOp() | ast.AugAssign():
            for operator in CALCULATED.get(type(node.op), ()):
                yield _with(node, op=operator())
        case ast.BoolOp():
            yield _with(
                node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And()
            )
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.IfExp(body=body, orelse=orelse):
            yield _with(node, body=orelse, orelse=body)
        case ast.Constant(value=bool(value)):
            yield _with(node, value=not value)
        case ast.Constant(value=int(value) | float(value)):
            yield _with(node, value=value + 1)
        case ast.Constant(value=str(value)):
            yield _with(node, value=f"{value}?")
        case ast.Call(func=ast.Name(id=name)) if name in CALLED:
            yield _with(node, func=ast.Name(CALLED[name], ast.Load()))
        case ast.If() | ast.While() if not isinstance(
            node.test, ast.Compare | ast.UnaryOp
        ):
            yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield _with(node, value=ast.Constant(None))
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()
    if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign):
        documents = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not documents:
            yield ast.Pass()


def _with(node: ast.AST, **changes: object) -> ast.AST:
    changed = copy.copy(node)
    for field, value in changes.items():
        setattr(changed, field, value)
    return changed
