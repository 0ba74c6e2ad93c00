"""What every backend does with what a user gives it: sizes from shapes, arrays of the declared dtypes, and diagnostics instead of tracebacks.

Everything is checked before the first instruction runs: shapes against declarations (each dim has one size, and the message says who gave it), declared facts,
needed inequalities. A dtype is converted only where no value can change.

    binder = SizeBinder(plan)
    binder.bind({"x": (3, 4)}, {})       # {"n": 3, "m": 4}
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from dfg.diagnostics import Diagnostic, Label, UserError, error
from dfg.diagnostics.codes import nearest
from dfg.dims import Dim, DimLike, evaluate, named, names, substitute
from dfg.plan import Field, Plan
from dfg.source import Span
from dfg.types import DType, TensorType, from_numpy, lossless

PACKAGE: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Given:
    """A size and who gave it."""

    size: int
    who: str


def callers_level() -> int:
    """For `warnings.warn` in the caller: the level of the first frame that is neither ours nor generated, so that a warning stands at the user's line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith((str(PACKAGE), "<dfg ")):
        frame = frame.f_back
        level += 1
    return level


def shape_text(shape: Sequence[Any]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def names_of(t: TensorType) -> set[str]:
    """The names of sizes in a type."""
    return {n for d in t.shape for n in names(d)}


def _bare(d: DimLike) -> str | None:
    """The name that a size is, if it is one."""
    if isinstance(d, Dim) and len(d.terms) == 1:
        text = next(iter(names(d)))
        return text if d == named(text) else None
    return None


class SizeBinder:
    """Finds the sizes that shapes of arrays give, and verifies all that was declared or needed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.fields: dict[str, Field] = {f.name: f for f in (*plan.spare.values(), *plan.inputs, *plan.kept.values())}

    def bind(self, shapes: Mapping[str, tuple[int, ...]], fixed: Mapping[str, Given], whole: bool = True) -> dict[str, int]:
        """Sizes by name. `fixed` are sizes that parameters and states already have; unless `whole`, some may stay unknown. Raises `UserError`."""
        known: dict[str, Given] = dict(fixed)
        open_: list[tuple[Field, int, DimLike, int]] = []
        for name, shape in shapes.items():
            f = self.fields[name]
            if len(shape) != f.type.rank:
                raise UserError(
                    error(
                        "wrong-shape",
                        f"`{name}` is declared as {f.type}, of rank {f.type.rank}, and the array given has shape {shape_text(shape)}",
                        f.span,
                        help="nothing is stretched, squeezed or transposed: reshape the array",
                    )
                )
            for axis, (d, size) in enumerate(zip(f.type.shape, shape, strict=True)):
                if isinstance(d, int):
                    if d != size:
                        raise self._mismatch(f, shape, axis, str(d), f"{d}")
                    continue
                bare = _bare(d)
                if bare is None:
                    open_.append((f, axis, d, size))
                elif bare not in known:
                    known[bare] = Given(size, f"axis {axis} of `{name}`")
                elif known[bare].size != size:
                    raise self._conflict(f, shape, axis, bare, known[bare], fixed)
        self._solve(open_, known)
        sizes = {k: g.size for k, g in known.items()}
        for f, axis, d, size in open_:
            if names(d) <= sizes.keys() and (wanted := self._value(d, sizes)) != size:
                because = ", ".join(f"{n} is {known[n].size} by {known[n].who}" for n in sorted(names(d)))
                raise self._mismatch(f, shapes[f.name], axis, str(d), f"{d} = {wanted}, where {because}")
        if not whole:
            return sizes
        lacking = [d for d in self.plan.dims if d not in sizes]
        if lacking:
            for f, axis, d, size in open_:
                if len(names(d)) == 1 and names(d) <= set(lacking):
                    raise self._mismatch(f, shapes[f.name], axis, str(d), f"{d}, which is {size} for no size `{next(iter(names(d)))}`")
            giver = next((f.name for f in self.plan.spare.values() if f.name not in shapes and names_of(f.type) & set(lacking)), None)
            raise UserError(
                error(
                    "dim-unbound",
                    f"nothing given in this run says how large {', '.join(f'`{d}`' for d in lacking)} is",
                    help=f"give `{giver}` too: its shape says it" if giver else "a size is bound by an input, or by a parameter that has a value, whose shape has it as an axis",
                )
            )
        self.verify(sizes, known)
        return sizes

    @staticmethod
    def _value(d: DimLike, sizes: Mapping[str, int]) -> int | None:
        try:
            return evaluate(d, sizes)
        except ZeroDivisionError:
            return None

    def _solve(self, open_: Iterable[tuple[Field, int, DimLike, int]], known: dict[str, Given]) -> None:
        """Bind names from axes such as `2*n + 1`, and from declared equations, that have one unknown left."""
        equations = [(d, size, f"axis {axis} of `{f.name}`") for f, axis, d, size in open_]
        equations += [(fact.lhs - fact.rhs, 0, f"the fact `{fact}`") for fact in self.plan.facts.declared if fact.op == "=="]
        progress = True
        while progress:
            progress = False
            for d, size, who in equations:
                unknown = names(d) - known.keys()
                if len(unknown) != 1:
                    continue
                (name,) = unknown
                try:
                    rest = substitute(d, {k: g.size for k, g in known.items()})
                    zero = evaluate(rest, {name: 0})
                    slope = evaluate(rest, {name: 1}) - zero
                    if rest != named(name) * slope + zero or slope == 0:
                        continue
                except ZeroDivisionError:
                    continue
                if (size - zero) % slope == 0 and (size - zero) // slope >= 0:
                    known[name] = Given((size - zero) // slope, who)
                    progress = True

    def verify(self, sizes: Mapping[str, int], known: Mapping[str, Given]) -> None:
        """Check facts and needed inequalities."""

        def because(*dims: DimLike) -> str:
            used = sorted(n for d in dims for n in names(d) if n in known)
            return ", ".join(f"`{n}` is {known[n].size} by {known[n].who}" for n in dict.fromkeys(used))

        for fact in self.plan.facts.declared:
            if not (names(fact.lhs) | names(fact.rhs)) <= sizes.keys():
                continue
            try:
                holds = fact.holds(sizes)
            except ZeroDivisionError:
                holds = False
            if not holds:
                span = fact.origin if isinstance(fact.origin, Span) else None
                raise UserError(
                    error(
                        "unmet-size",
                        f"`dim {fact}` does not hold for the sizes given",
                        span,
                        notes=[because(fact.lhs, fact.rhs)],
                    )
                )
        for need in self.plan.needs:
            left, right = self._value(need.left, sizes), self._value(need.right, sizes)
            if left is None or right is None or left < right:
                raise UserError(
                    error(
                        "unmet-size",
                        f"{need.why}: {need.left} must be at least {need.right}, and "
                        + (f"is {left}" if isinstance(need.right, int) else f"these are {left} and {right}"),
                        need.span,
                        notes=[because(need.left, need.right)],
                    )
                )

    def _mismatch(self, f: Field, shape: tuple[int, ...], axis: int, declared: str, wanted: str) -> UserError:
        return UserError(
            error(
                "wrong-shape",
                f"axis {axis} of `{f.name}` is {wanted}, and the array given has shape {shape_text(shape)}",
                f.span,
                notes=[f"`{f.name}` is declared as {f.type}"],
            )
        )

    def _conflict(self, f: Field, shape: tuple[int, ...], axis: int, name: str, first: Given, fixed: Mapping[str, Given]) -> UserError:
        message = f"`{name}` is {first.size} by {first.who}, and axis {axis} of `{f.name}` has size {shape[axis]}"
        if name in fixed:
            return UserError(
                error(
                    "size-fixed",
                    message,
                    f.span,
                    notes=[f"the array given has shape {shape_text(shape)}"],
                    help="a parameter or state keeps the size it was made with: `reset()` makes them anew at the next run",
                )
            )
        other = self.fields.get(first.who.partition("`")[2].rstrip("`"))
        labels = [Label(other.span, f"`{name}` is {first.size} here")] if other is not None and other.span is not None else []
        return UserError(error("wrong-shape", message, f.span, labels=labels))


# --- arrays ------------------------------------------------------------------------------------------------------------------------------


def as_declared(f: Field, given: Any) -> np.ndarray:
    """What was given for an input as an array of the declared dtype. Python numbers and lists are written numbers: they take the dtype if it holds them."""
    want = f.type.dtype
    array_like = isinstance(given, np.ndarray | np.generic) or hasattr(given, "__array__") or hasattr(given, "__dlpack__")
    try:
        if array_like and not isinstance(given, np.ndarray) and hasattr(given, "__dlpack__") and not hasattr(given, "__array__"):
            array = np.from_dlpack(given)
        else:
            array = np.asarray(given)
    except (ValueError, TypeError, RuntimeError, BufferError) as e:
        raise UserError(error("ragged-literal", f"what is given for `{f.name}` is no array: {e}", f.span)) from None
    if array.dtype == want.np:
        return array.astype(want.np, copy=False)
    have = from_numpy(array.dtype)
    if not array_like:
        return _written(f, array, have)
    if have is None:
        raise UserError(error("wrong-dtype", f"`{f.name}` is declared as {f.type}, and there is no dtype for NumPy's {array.dtype}", f.span))
    if not lossless(have, want):
        raise UserError(
            error(
                "wrong-dtype",
                f"`{f.name}` is declared as {f.type}, and the array given is {have}",
                f.span,
                help=f"convert it if that is meant: `{f.name}.astype('{want.np.name}')`",
            )
        )
    return array.astype(want.np)


def _written(f: Field, array: np.ndarray, have: DType | None) -> np.ndarray:
    want = f.type.dtype
    order = {"bool": 0, "int": 1, "float": 2}
    if array.size == 0 and have is not None:
        return array.astype(want.np)
    if have is None or order[have.kind] > order[want.kind]:
        raise UserError(error("does-not-fit", f"`{f.name}` is declared as {f.type}, which does not hold what is given: {_shown(array)}", f.span))
    if want.kind == "int" and have.kind == "int":
        info = np.iinfo(want.np)
        if int(array.min()) < info.min or int(array.max()) > info.max:
            raise UserError(error("does-not-fit", f"`{f.name}` is declared as {f.type}, which holds {info.min} to {info.max}", f.span))
    return array.astype(want.np)


def _shown(array: np.ndarray) -> str:
    text = np.array2string(array, threshold=8, edgeitems=2).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."


def check_names(plan: Plan, given: Iterable[str], declared: Iterable[str] = ()) -> None:
    """Raise `missing-input` or `surplus-input` unless exactly the needed inputs are given; others that the program declares may be."""
    fields = {f.name: f for f in plan.inputs}
    given = list(given)
    known = {*fields, *declared}
    problems: list[Diagnostic] = []
    for name in given:
        if name not in known:
            close = nearest(name, known)
            what = "is kept between runs: `bind` or `params` sets it" if name in plan.declared else "is no input of this program"
            hint = f"did you mean `{close}`?" if close else f"its inputs are {', '.join(sorted(known)) or 'none'}"
            problems.append(error("surplus-input", f"`{name}` {what}", help=None if name in plan.declared else hint))
    missing = [n for n in fields if n not in given]
    if missing:
        many = "inputs are" if len(missing) > 1 else "input is"
        listed = ", ".join(f"`{n}` : {fields[n].type}" for n in missing)
        problems.append(error("missing-input", f"{len(missing)} {many} missing: {listed}", fields[missing[0]].span))
    if problems:
        raise UserError(problems)


def check_bound(name: str, t: TensorType, array: Any, span: Span | None) -> None:
    """Whether an array can be a parameter or state as it is: an array, of exactly the declared dtype and rank, writable."""
    if not isinstance(array, np.ndarray):
        raise UserError(error("wrong-type", f"`bind` shares memory with an array, and {type(array).__name__} is none", span))
    if array.dtype != t.dtype.np or not array.dtype.isnative:
        have = from_numpy(array.dtype) or array.dtype
        raise UserError(
            error("wrong-dtype", f"`{name}` is declared as {t}, and the array to bind is {have}", span, help="`bind` converts nothing: memory is shared")
        )
    if not array.flags.writeable:
        raise UserError(error("not-writable", f"the array to bind to `{name}` is read-only", span, help="bind a copy of it"))
    if len(array.shape) != t.rank:
        raise UserError(error("wrong-shape", f"`{name}` is declared as {t}, and the array to bind has shape {shape_text(array.shape)}", span))


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays share an element, as far as can be told with little work; else yes."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return bool(np.shares_memory(a, b, max_work=100_000))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
