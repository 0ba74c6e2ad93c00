"""Derivatives in Python. A target is an input, a parameter, a state, an argument of a traced function or body, or a `pin`: what has an identity of its own.

dw, db = grad(l, [w, b])            # a list for a list, one tensor for one
u = pin(w * x); ...; du = grad(l, u)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dfg.diagnostics import Fix, Label, UserError, error
from dfg.frontend.builder.convert import Bad, dims_used, handles_in, lower, operand
from dfg.frontend.builder.emit import bad, build, label_of, located, origin, surface
from dfg.frontend.builder.homes import LOCK, Handle
from dfg.frontend.builder.places import Place, anatomy, here
from dfg.frontend.builder.tensor import Tensor
from dfg.frontend.builder.trees import flatten, unflatten
from dfg.ir import InferError, Value
from dfg.ops import calculus
from dfg.ops.base import project
from dfg.ops.leaf import make_pin
from dfg.ops.surface import Literal, Surface

TARGETS = ("input", "param", "state", "arg", "pin")
T = TypeVar("T")


def pin(x: Any) -> Tensor:
    """The same value under an identity of its own, by which later values can be differentiated."""
    place = here()
    try:
        given = operand(x)
    except Bad as e:
        raise UserError(bad(e, x, 0, place)) from None

    def emit(cx: Surface, of: Callable[[Handle], Value]) -> Value:
        return make_pin(cx.value(lower(given, cx, of)))

    return build(handles_in([given]), emit, names=dims_used([given]), place=place, call=[x])


def stop_gradient(x: Any) -> Tensor:
    """The same value, through which no gradient flows."""
    return surface("stop_gradient", [x])


def _differentiated(y: Any, title: str, place: Place | None, scalar: bool) -> Tensor:
    if not isinstance(y, Tensor):
        what = f"the function `{getattr(y, '__name__', 'f')}`" if callable(y) else f"a {type(y).__name__}"
        raise UserError(
            error(
                "wrong-type",
                f"`{title}` differentiates a tensor, and this is {what}",
                place,
                help=f"call it first, on tensors: `dfg.{title}(f(x, w), w)`" if callable(y) else None,
            )
        )
    code = "integer-loss" if not y.dtype.floating else "not-scalar-loss" if scalar and y.ndim else None
    if code is not None:
        span = (anatomy(place).operands or (place,))[0]
        label = origin(y, "")
        raise UserError(
            located(
                error(
                    code,
                    f"`{title}` is of a {'floating-point value' if code == 'integer-loss' else 'scalar'}, and this is {y.type}",
                    span,
                    labels=[label] if label is not None and label.span != span else [],
                    help="sum it or take its mean; of a tensor there are `dfg.vjp(y, x, ct)` and `dfg.jacobian(y, x)`"
                    if code == "not-scalar-loss"
                    else "a comparison, a count or a rounding does not vary smoothly",
                )
            )
        )
    return y


def _targets(x: Any, title: str, place: Place | None) -> tuple[list[Tensor], bool]:
    """The targets, and whether they came as a list."""
    listed = isinstance(x, list | tuple)
    items = list(x) if listed else [x]
    parts = anatomy(place)
    span = parts.operands[1] if len(parts.operands) > 1 else parts.keywords.get("wrt", place)
    for t in items:
        if not isinstance(t, Tensor):
            raise UserError(
                error(
                    "grad-of-expression",
                    f"`{title}` is by tensors, and this is {t!r}",
                    span,
                    help="by an input, a parameter or a pinned value",
                )
            )
        v = t.value
        if not v.dtype.floating:
            label = origin(t, "")
            raise UserError(
                error(
                    "integer-target",
                    f"cannot differentiate by a tensor of {v.dtype}: only floating dtypes vary smoothly",
                    span,
                    labels=[label] if label is not None else [],
                    help="declare it with a floating dtype, such as f64",
                )
            )
        if v.op.name not in TARGETS:
            _unpinned(t, title, span)
    return items, listed


def _unpinned(t: Tensor, title: str, span: Any) -> None:
    label = origin(t, "")
    name = label_of(t)
    fix: Fix | None = None
    if name is None:
        help = "bind it to a name with an identity of its own before the loss uses it: `u = dfg.pin(…)`"
    else:
        help = f"pin it where it is made, before the loss uses it: `{name} = dfg.pin(…)`"
    if label is not None and name is not None and isinstance(label.span, Place) and label.span.known:
        text = label.span.text
        help = (
            f"pin it where it is made, before the loss uses it: `{name} = dfg.pin({text})`" if "\n" not in text and len(text) < 60 else help
        )
        fix = Fix("pin it", ((label.span, f"dfg.pin({text})"),))
    shown = f"`{name}`" if name else "this"
    raise UserError(
        located(
            error(
                "unpinned-target",
                f"{shown} is a computed value without an identity of its own, so nothing can be differentiated by it",
                span,
                labels=[Label(label.span, f"{shown} is made here")] if label is not None and label.span != span else [],
                help=help,
                fix=fix,
            )
        )
    )


def _like(cx: Surface, x: Any, of: Value, what: str) -> Value:
    """A cotangent or tangent, of the type of its value; a scalar does not stretch."""
    t = of.type
    v = cx.literal(x, t.dtype) if isinstance(x, Literal) else x
    if v.dtype is not t.dtype and v.dtype.level < t.dtype.level:
        v = cx.cast(v, t.dtype, f"{what} of {t.dtype}")
    if (
        v.dtype is not t.dtype
        or len(v.shape) != len(t.shape)
        or any(cx.graph.equal_sizes(a, b) is not True for a, b in zip(v.shape, t.shape, strict=True))
    ):
        raise InferError(
            "shape-mismatch",
            f"{what} has the type of its value, {t}, and this is {v.type}",
            [(0, f"this is {t}"), (2, f"this is {v.type}")],
        )
    return cx.stretch(v, t.shape)


def _emit(
    y: Tensor,
    targets: Sequence[Tensor],
    extra: Sequence[Any],
    f: Callable[[Surface, Value, list[Value], list[Any]], Any],
    place: Place | None,
    args: Sequence[Any],
) -> Any:
    """Emit a derivative in the region of what is differentiated."""
    converted = []
    for k, x in enumerate(extra):
        try:
            converted.append(operand(x))
        except Bad as e:
            raise UserError(bad(e, x, 2 + k, place)) from None

    def emit(cx: Surface, of: Callable[[Handle], Value]) -> Any:
        return f(cx, of(y), [of(t) for t in targets], [lower(c, cx, of) for c in converted])

    with LOCK:
        return build([y, *targets, *handles_in(converted)], emit, names=dims_used(converted), place=place, call=args, within=y)


def _shaped(made: list[Any], listed: bool) -> Any:
    return made if listed else made[0]


def _nested(x: Any) -> bool:
    return isinstance(x, dict) or (isinstance(x, list | tuple) and any(isinstance(i, dict | list | tuple) for i in x))


def _by_leaves(f: Callable[[list[Any]], list[Tensor]], x: Any) -> Any:
    """What `f` gives by the leaves of a nested structure, in that structure."""
    leaves, tree = flatten(x)
    return unflatten(f(leaves), tree)


def grad(loss: Tensor, wrt: Any) -> Any:
    """The gradient of a scalar by a tensor, a list of gradients by a list of tensors, or a structure of them by nested dictionaries, lists and tuples."""
    if _nested(wrt):
        return _by_leaves(lambda leaves: grad(loss, leaves), wrt)
    place = here()
    y = _differentiated(loss, "grad", place, True)
    targets, listed = _targets(wrt, "grad", place)
    return _shaped(_gradients(y, targets, place, (loss, wrt)), listed)


def _gradients(y: Tensor, targets: list[Tensor], place: Place | None, args: Sequence[Any]) -> list[Tensor]:
    if not targets:
        return []
    return _one(_emit(y, targets, [], lambda cx, v, xs, _: _single(calculus.emit_grad(v, xs)), place, args))


def _single(made: list[Value]) -> Any:
    """One result bare, so that it is named as one."""
    return made[0] if len(made) == 1 else made


def _one(made: Any) -> list[Tensor]:
    return made if isinstance(made, list) else [made]


def value_and_grad(loss: Tensor, wrt: Any) -> tuple[Tensor, Any]:
    """The scalar and its gradient."""
    if _nested(wrt):
        return loss, _by_leaves(lambda leaves: grad(loss, leaves), wrt)
    place = here()
    y = _differentiated(loss, "value_and_grad", place, True)
    targets, listed = _targets(wrt, "value_and_grad", place)
    return y, _shaped(_gradients(y, targets, place, (loss, wrt)), listed)


def vjp(y: Tensor, x: Any, ct: Any) -> Any:
    """The cotangents of `x` (one tensor, a list or nested dictionaries) for a cotangent of `y`."""
    if _nested(x):
        return _by_leaves(lambda leaves: vjp(y, leaves, ct), x)
    place = here()
    value = _differentiated(y, "vjp", place, False)
    targets, listed = _targets(x, "vjp", place)
    made = _emit(
        value,
        targets,
        [ct],
        lambda cx, v, xs, more: _single(calculus.emit_vjp(v, _like(cx, more[0], v, "a cotangent"), xs)),
        place,
        (y, x, ct),
    )
    return _shaped(_one(made), listed)


def _tangents(x: Any, v: Any, targets: list[Tensor], listed: bool, title: str, place: Place | None) -> list[Any]:
    tangents = list(v) if listed and isinstance(v, list | tuple) else [v]
    if len(tangents) != len(targets):
        raise UserError(error("arity", f"`{title}` has {len(targets)} targets, and {len(tangents)} tangents", place))
    return tangents


def jvp(y: Tensor, x: Any, v: Any) -> Tensor:
    """The tangent of `y` for tangents of `x` (one tensor or a list)."""
    place = here()
    value = _differentiated(y, "jvp", place, False)
    targets, listed = _targets(x, "jvp", place)
    return _emit(value, targets, _tangents(x, v, targets, listed, "jvp", place), _jvp, place, (y, x, v))


def _jvp(cx: Surface, y: Value, xs: list[Value], moves: list[Any]) -> Value:
    return y.graph.emit(calculus.jvp_op, (y, *xs, *[_like(cx, m, x, "a tangent") for x, m in zip(xs, moves, strict=True)]), (len(xs),))


def _jacobians(y: Value, xs: list[Value]) -> list[Value]:
    return list(project(y.graph.emit(calculus.jacobian_op, (y, *xs), ())))


def jacobian(y: Tensor, x: Any) -> Any:
    """The derivatives of all elements of `y` by all of `x`: shape `y.shape + x.shape`; a list for a list."""
    place = here()
    value = _differentiated(y, "jacobian", place, False)
    targets, listed = _targets(x, "jacobian", place)
    if not targets:
        return []
    return _shaped(_one(_emit(value, targets, [], lambda cx, v, xs, _: _single(_jacobians(v, xs)), place, (y, x))), listed)


def hessian(loss: Tensor, x: Any) -> Any:
    """The second derivatives of a scalar: shape `x.shape + x.shape`; for a list of targets a list of rows of blocks."""
    place = here()
    y = _differentiated(loss, "hessian", place, True)
    targets, listed = _targets(x, "hessian", place)

    def emit(cx: Surface, v: Value, xs: list[Value], _: list[Any]) -> Any:
        rows = [_jacobians(g, xs) for g in calculus.emit_grad(v, xs)]
        return rows if listed else rows[0][0]

    return _emit(y, targets, [], emit, place, (loss, x))


def hvp(loss: Tensor, x: Any, v: Any) -> Any:
    """The product of the Hessian with tangents of `x`, without the Hessian."""
    place = here()
    y = _differentiated(loss, "hvp", place, True)
    targets, listed = _targets(x, "hvp", place)

    def emit(cx: Surface, value: Value, xs: list[Value], moves: list[Any]) -> Any:
        made = [_jvp(cx, g, xs, moves) for g in calculus.emit_grad(value, xs)]
        return made if listed else made[0]

    return _emit(y, targets, _tangents(x, v, targets, listed, "hvp", place), emit, place, (loss, x, v))
