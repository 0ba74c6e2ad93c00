"""The values that one block of steps computes: views, last uses, places, steps. What the planner is made of.

A `Region` is the live part of a graph, or of a loop's or branch's body. First it is analysed: which values are views of which (with symbolic strides,
`dfg.passes.layout`), and where each is read last. Then steps are made in order: a value goes to the place that was fixed for it (an output, a row of a
stack, a carry), takes over the memory of an operand that dies there, or gets a slot. Ops in `LOWERINGS` become other steps (`dfg.passes.lowering`, `dfg.passes.loops`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from dfg.dims import DimLike
from dfg.ir import Value
from dfg.ops.base import OPS, const_scalar, constant
from dfg.ops.leaf import part, trace
from dfg.ops.loop import scan
from dfg.passes.layout import Strides, can_view, dense_strides, view_strides
from dfg.passes.slots import Slots
from dfg.plan import STATIC, Array, Loop, Step
from dfg.types import F64, TensorType

BROADCAST: Final = OPS["broadcast"]
SUM: Final = OPS["sum"]
RESHAPE: Final = OPS["reshape"]
CONCAT: Final = OPS["concat"]
PERMUTE: Final = OPS["permute"]
FAR: Final = 1 << 60
"""The position of uses after the last step."""
LOWERINGS: Final[dict[Any, Callable[[Region, Value, int], None]]] = {}
"""Ops that become several steps, or other steps than their own."""
_PLACES: Final[dict[Any, tuple[int, ...]]] = {}
"""Elementwise ops that are one step, with the operands whose memory they may take."""


class Builder:
    """What all regions of a plan share: arrays, slots, and the blocks of steps that are open."""

    def __init__(self, hints: Mapping[str, int]) -> None:
        self.arrays: list[Array] = []
        self.slots = Slots(hints)
        self.blocks: list[list[Step]] = [[]]
        self.loops: dict[int, Loop] = {}
        """The loop that is open at each depth."""
        self.workspaces: dict[DimLike, None] = {}
        self.relied: set[int] = set()
        self._slot_arrays: dict[tuple[int, TensorType], int] = {}
        self._quick_arrays: dict[tuple[int, int], int] = {}
        self._views: dict[tuple[Any, ...], int] = {}
        self._constants: dict[Any, int] = {}
        self._rows: dict[tuple[int, int], int] = {}

    def array(self, kind: Any, t: TensorType, scope: int, **more: Any) -> int:
        index = len(self.arrays)
        self.arrays.append(Array(index, kind, t, scope, **more))
        return index

    def slot_array(self, slot: int, t: TensorType) -> int:
        """A slot seen as a dense tensor: one array for each type that it holds."""
        # The slots keep every type alive that they were asked for, so an identity is one type.
        quick = (slot, id(t))
        found = self._quick_arrays.get(quick)
        if found is None:
            self.slots.extent(t)
            found = self._slot_arrays.get((slot, t))
            if found is None:
                found = self._slot_arrays[slot, t] = self.array("slot", t, STATIC, slot=slot)
            self._quick_arrays[quick] = found
        return found

    def constant(self, v: Value) -> int:
        found = self._constants.get(v.attrs[0])
        if found is None:
            found = self._constants[v.attrs[0]] = self.array("constant", v.type, STATIC, attrs=v.attrs)
        return found

    def computed(self, op: Any, operands: tuple[int, ...], attrs: tuple[Any, ...], t: TensorType) -> int:
        key = (op, operands, attrs)
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = self.array("computed", t, STATIC, op=op, operands=operands, attrs=attrs)
        return found

    def view(self, base: int, op: Any, attrs: tuple[Any, ...], t: TensorType, rely: bool = True) -> int:
        """A view of an array; where its base changes, a step of the base's scope makes it. A reshape relies on a dense base unless told."""
        a = self.arrays[base]
        if op is RESHAPE:
            if a.type.shape == t.shape:
                return base
            if a.kind == "slot":
                return self.slot_array(a.slot, t)
            if rely:
                self.rely(base)
        key = (base, op, attrs)
        found = self._views.get(key)
        if found is None and a.kind == "row" and (along := _along(op, attrs, self.arrays[a.operands[0]].type.shape[0])) is not None:
            # A row of a view of the stack is made once where a view of a row is made at every step.
            stack = self.arrays[a.operands[0]].type
            found = self._views[key] = self.row(self.view(a.operands[0], op, along, t.with_shape((stack.shape[0], *t.shape)), rely), t, self.loops[a.scope])
        if found is None:
            found = self._views[key] = self.array("view", t, a.scope, op=op, operands=(base,), attrs=attrs)
            if a.scope != STATIC:
                self.blocks[a.scope].append(Step("view", (base,), (found,), None, op, attrs))
        return found

    def row(self, stack: int, t: TensorType, loop: Loop) -> int:
        """The row of a stack at a loop's step."""
        row = self._rows.get((stack, id(loop)))
        if row is None:
            row = self._rows[stack, id(loop)] = self.array("row", t, loop.depth, operands=(stack,))
            loop.rows.append(row)
        return row

    def reshaped(self, base: int, shape: tuple[DimLike, ...]) -> int:
        t = self.arrays[base].type
        return self.view(base, RESHAPE, (shape,), t.with_shape(shape))

    def permuted(self, base: int, perm: Sequence[int]) -> int:
        t = self.arrays[base].type
        if list(perm) == list(range(t.rank)):
            return base
        return self.view(base, PERMUTE, (tuple(perm),), t.with_shape(tuple([t.shape[p] for p in perm])))

    def rely(self, index: int) -> None:
        """Note that a plan is right only if the array behind this one is dense."""
        a = self.arrays[index]
        while a.kind in ("view", "row"):
            a = self.arrays[a.operands[0]]
        self.relied.add(a.index)


class Region:
    """The values of one graph that one block of steps computes."""

    def __init__(self, b: Builder, order: Sequence[Value], depth: int) -> None:
        self.b = b
        self.order = order
        self.depth = depth
        self.root: dict[int, int] = {}
        self.strides: dict[int, Strides | None] = {}
        self.arr: dict[int, int] = {}
        self.static: set[int] = set()
        self.last: dict[int, int] = {}
        self.birth: dict[int, int] = {}
        self.parts: dict[int, list[Value]] = {}
        self.fixed: dict[int, int] = {}
        """Where a value must go."""
        self.slot: dict[int, int] = {}
        """The slots that this region's values own, by root."""
        self.alias: dict[int, Value] = {}
        """Traces that are the tensor that a loop goes through."""
        self.folded: dict[int, tuple[Value, Value]] = {}
        """Sums that are taken of two tensors' products directly, without the tensor of products."""
        self.skipped: set[int] = set()
        self.buffers: dict[int, int] = {}
        """Slots that several roots lie in: each is given back when the last of them dies."""
        self.border = 0
        """What stands before this position in the order is computed at another time than what stands after it."""
        self.pieces: dict[int, tuple[Value, tuple[DimLike, ...]]] = {}
        """Values that are computed where a `concat` of them has them: that concat, and where in it they begin."""
        self.repeated: set[int] = set()
        """Tensors whose elements are all one number that depends on sizes and constants: kept as that number."""
        self.checked: set[tuple[int, DimLike]] = set()
        """Index arrays that were found to lie in an axis of a size."""

    # --- analysis

    def analyse(self, ends: Iterable[Value], needed: Iterable[Value] = ()) -> None:
        """Find views, last uses, and sums of products. `ends` are read after the last step, `needed` have places of their own."""
        root, strides, static, last, birth = self.root, self.strides, self.static, self.last, self.birth
        ends = list(ends)
        sums: list[tuple[int, Value, tuple[Value, Value]]] = []
        for p, v in enumerate(self.order):
            i = v.index
            if i in root:
                continue
            op = v.op
            if op.view and op is not part and can_view(v):
                o = v.operands[0]
                ok, s = view_strides(v, strides[o.index])
                if ok:
                    r = root[i] = root[o.index]
                    strides[i] = s
                    if r in static:
                        static.add(i)
                    continue
            elif op.projects:
                source = v.operands[0]
                if op is trace and (through := self._gone_through(v)) is not None:
                    self.alias[i] = through
                    root[i] = root[through.index]
                    shape = through.type
                    strides[i] = strides[through.index]
                    assert shape == v.type
                    continue
                self.parts.setdefault(source.index, []).append(v)
                root[i] = i
                strides[i] = None
                birth[i] = birth[source.index]
                continue
            root[i] = i
            strides[i] = None
            birth[i] = p
            operands = v.operands
            if not operands:
                if op is constant or not op.leaf:
                    static.add(i)
                continue
            if type(v.type) is TensorType and not v.type.shape and op.fails is None and all([o.index in static for o in operands]):
                static.add(i)
            if op is SUM and (pair := self._products(v)) is not None:
                sums.append((p, v, pair))
            if op.elementwise and (operands[0].op is BROADCAST or operands[0].index in self.repeated) and self._repeats(v):
                self.repeated.add(i)
                static.add(i)
                continue
            for o in operands:
                last[root[o.index]] = p
        for v in ends:
            last[root[v.index]] = FAR
        if sums:
            self._fold(sums, [*ends, *needed])
        joins = [(p, v) for p, v in enumerate(self.order) if v.op is CONCAT]
        if joins:
            self._join(joins, [*ends, *needed])

    def _join(self, joins: Sequence[tuple[int, Value]], ends: Iterable[Value]) -> None:
        """Find elementwise values that only a `concat` reads: they are computed in their part of it."""
        uses: dict[int, int] = {}
        for v in itertools.chain(*[w.operands for w in self.order], ends):
            uses[v.index] = uses.get(v.index, 0) + 1
        joined: dict[int, int] = {}
        for _, v in joins:
            for o in v.operands:
                joined[o.index] = joined.get(o.index, 0) + 1
        for p, v in joins:
            at: DimLike = 0
            for o in v.operands:
                begin = tuple([at if k == v.attrs[0] else 0 for k in range(v.rank)])
                at = at + o.shape[v.attrs[0]]
                i = o.index
                if i in self.pieces:
                    # A part of two: it is computed in the first, which the second copies it from.
                    first = self.root[self.pieces[i][0].index]
                    self.last[first] = max(self.last.get(first, p), p)
                elif (
                    uses[i] == joined[i] and o.op.elementwise and o.op not in LOWERINGS and self.root.get(i) == i and i in self.birth
                    and i not in self.static and i not in self.arr and i not in self.fixed and (self.birth[i] < self.border) == (p < self.border)
                ):  # fmt: skip
                    self.pieces[i] = (v, begin)
                    self.birth[v.index] = min(self.birth[v.index], self.birth[i])

    def _repeats(self, v: Value) -> bool:
        """Whether an elementwise op's operands repeat numbers that are static."""
        return v.op.fails is None and all(
            [o.index in self.repeated or (o.op is BROADCAST and not o.attrs[1] and o.operands[0].index in self.static) for o in v.operands]
        )

    def _number(self, v: Value) -> int:
        """The number that a repeated tensor's elements are, as an array of rank 0."""
        if v.index not in self.repeated:
            return self.array(v.operands[0])
        pending = [v]
        made: dict[int, int] = {}
        while pending:
            w = pending[-1]
            lacking = [o for o in w.operands if o.index in self.repeated and o.index not in made]
            if lacking:
                pending.extend(lacking)
                continue
            pending.pop()
            operands = tuple([made[o.index] if o.index in made else self.array(o.operands[0]) for o in w.operands])
            made[w.index] = self.b.computed(w.op, operands, w.attrs, w.type.with_shape(()))
        return made[v.index]

    def _fold(self, sums: Sequence[tuple[int, Value, tuple[Value, Value]]], ends: Iterable[Value]) -> None:
        """Take sums of products that nothing else uses directly."""
        count = {v.operands[0].index: 0 for _, v, _ in sums}
        for v in itertools.chain(*[w.operands for w in self.order], ends):
            if v.index in count:
                count[v.index] += 1
        for p, v, pair in sums:
            o = v.operands[0].index
            if count[o] == 1:
                self.folded[v.index] = pair
                self.skipped.add(o)
                for x in pair:
                    r = self.root[x.index]
                    self.last[r] = max(self.last.get(r, p), p)

    def _products(self, v: Value) -> tuple[Value, Value] | None:
        """The two dense tensors whose products `v` adds up, all of them. In f64 only: BLAS adds f32 in f32, one after the other."""
        o = v.operands[0]
        if v.rank or not o.rank or o.dtype is not F64 or self.root[o.index] != o.index or o.index in self.static or o.index in self.arr:
            return None
        if o.op is OPS["multiply"]:
            pair = (o.operands[0], o.operands[1])
        elif o.op is OPS["power"] and const_scalar(o.operands[1]) == 2:
            pair = (o.operands[0], o.operands[0])
        else:
            return None
        return pair if all(self.strides[x.index] is None and self.root[x.index] not in self.static for x in pair) else None

    @staticmethod
    def _gone_through(v: Value) -> Value | None:
        """The operand whose slices the traced value of the body is."""
        loop = v.operands[0]
        if loop.op is not scan:
            return None
        body, _, carries, xs, _ = loop.attrs
        traced = body.graph.values[v.attrs[0]]
        for k in range(carries, carries + xs):
            if body.inputs[k] is traced:
                return loop.operands[k]
        return None

    def dying(self) -> dict[int, list[int]]:
        """The roots that die at each position."""
        result: dict[int, list[int]] = {}
        for r, p in self.last.items():
            if p < FAR:
                result.setdefault(p, []).append(r)
        return result

    # --- arrays of values

    def array(self, v: Value) -> int:
        """The array that holds a value as it is."""
        found = self.arr.get(v.index)
        if found is not None:
            return found
        chain: list[Value] = []
        while (found := self.arr.get(v.index)) is None:
            if v.index in self.alias:
                chain.append(v)
                v = self.alias[v.index]
                continue
            if self.root[v.index] == v.index:
                self.leaf(v)
                found = self.arr[v.index]
                break
            chain.append(v)
            v = v.operands[0]
        for w in reversed(chain):
            found = found if w.op is OPS["pin"] or w.index in self.alias else self.b.view(found, w.op, w.attrs, w.type)
            self.arr[w.index] = found
        return found

    def leaf(self, v: Value) -> None:
        """An array for a constant or what depends on sizes and constants only."""
        if v.index in self.repeated:
            self.arr[v.index] = self.b.view(self._number(v), BROADCAST, (v.shape, ()), v.type)
        elif v.op is constant:
            self.arr[v.index] = self.b.constant(v)
        else:
            self.arr[v.index] = self.b.computed(v.op, tuple([self.array(o) for o in v.operands]), v.attrs, v.type)

    def narrow(self, o: Value, shape: tuple[DimLike, ...]) -> int:
        """An array that NumPy's broadcasting stretches to the value's elements in a result of this shape: a broadcast's operand where that is enough."""
        if o.index in self.repeated:
            return self._number(o)
        if o.op is not BROADCAST or o.index in self.arr:
            return self.array(o)
        u = o.operands[0]
        lead = len(shape) - u.rank
        if all([d == lead + k for k, d in enumerate(o.attrs[1])]):
            return self.array(u)
        sizes: list[DimLike] = [1] * len(shape)
        for k, d in enumerate(o.attrs[1]):
            sizes[d] = u.shape[k]
        return self.b.view(self.array(u), RESHAPE, (tuple(sizes),), u.type.with_shape(tuple(sizes)), rely=False)

    def strides_of(self, v: Value) -> Strides:
        s = self.strides[v.index]
        return dense_strides(v.shape) if s is None else s

    def emit(
        self,
        kernel: str,
        operands: tuple[int, ...],
        outs: tuple[int, ...],
        v: Value | None,
        attrs: tuple[Any, ...] = (),
        op: Any = None,
    ) -> None:
        self.b.blocks[self.depth].append(Step(kernel, operands, outs, v, op, attrs))

    # --- places

    def claim(self, v: Value) -> int:
        """A place for a value: the fixed one, else a slot."""
        i = v.index
        a = self.fixed.get(i)
        if a is None:
            slot = self.slot[i] = self.b.slots.take(v.type)
            a = self.b.slot_array(slot, v.type)
        self.arr[i] = a
        return a

    def dest(self, v: Value, p: int) -> int:
        """A place for the result of an elementwise op: over an operand that dies here, where both walk memory alike."""
        if v.index not in self.fixed:
            for k in writable(v.op):
                if self.may_take(v, k, p):
                    return self.take_over(v, k)
        return self.claim(v)

    def may_take(self, v: Value, k: int, p: int, exclusive: bool = False) -> bool:
        """Whether a value may be written over its operand `k`: it dies here and lies like the result, and no other operand sees its memory otherwise."""
        o = v.operands[k]
        r = self.root[o.index]
        if self.last.get(r) != p or r not in self.slot or o.type != v.type or self.strides[o.index] is not None:
            return False
        for m, other in enumerate(v.operands):
            if m != k and self.root[other.index] == r and (exclusive or self.strides[other.index] is not None or other.type != v.type):
                return False
        return True

    def take_over(self, v: Value, k: int) -> int:
        slot = self.slot[v.index] = self.slot.pop(self.root[v.operands[k].index])
        a = self.arr[v.index] = self.b.slot_array(slot, v.type)
        return a

    def temp(self, t: TensorType) -> tuple[int, int]:
        """A slot for use within one value's steps, and its array; give the slot back with `drop`."""
        slot = self.b.slots.take(t)
        return slot, self.b.slot_array(slot, t)

    def end(self) -> None:
        """Give back what the values of this region still hold."""
        self.drop([*self.slot.values(), *set(self.buffers.values())])

    def drop(self, slots: Iterable[int]) -> None:
        for s in slots:
            self.b.slots.release(s)

    # --- steps

    def run(self, start: int = 0, stop: int | None = None) -> None:
        """Make the steps of the values from one position to another."""
        dying = self._dying
        order, root, arr, slot, fixed, last, strides = self.order, self.root, self.arr, self.slot, self.fixed, self.last, self.strides
        pieces, buffers = self.pieces, self.buffers
        static, slots, b, emit = self.static, self.b.slots, self.b, self.b.blocks[self.depth].append
        for p in range(start, len(order) if stop is None else stop):
            v = order[p]
            i = v.index
            if root[i] == i and (i not in arr or v.op is CONCAT) and i not in static:
                op = v.op
                operands = v.operands
                places = _PLACES.get(op)
                if i in pieces:
                    self._piece(v)
                if places is None:
                    self._other(v, p)
                elif i in self.skipped:
                    pass
                else:
                    # Most values of a large program come here; what is written out below is `narrow`, `may_take` and `claim`.
                    try:
                        given = [arr[o.index] for o in operands]
                    except KeyError:
                        given = [self.narrow(o, v.type.shape) for o in operands]
                    out = fixed.get(i)
                    if out is None:
                        for k in places:
                            o = operands[k]
                            r = root[o.index]
                            if last.get(r) == p and r in slot and strides[o.index] is None and self.may_take(v, k, p):
                                slot[i] = slot.pop(r)
                                out = given[k] if o.type is v.type else b.slot_array(slot[i], v.type)
                                break
                        else:
                            slot[i] = taken = slots.take(v.type)
                            out = b.slot_array(taken, v.type)
                    arr[i] = out
                    emit(Step("op", tuple(given), (out,), v, op, v.attrs))
            if p in dying:
                for r in dying[p]:
                    freed = slot.pop(r, None)
                    if freed is None and r in buffers:
                        freed = buffers.pop(r)
                        freed = None if freed in buffers.values() else freed
                    if freed is not None:
                        slots.release(freed)

    def _other(self, v: Value, p: int) -> None:
        """The steps of a value that is not simply one elementwise kernel; what is learnt of such an op is remembered."""
        op = v.op
        if v.index in self.skipped:
            return
        if v.index in self.folded:
            self._dot(v)
        elif op is CONCAT and any([o.index in self.pieces and self.pieces[o.index][0] is v for o in v.operands]):
            self.concat(v)
        elif op in LOWERINGS:
            LOWERINGS[op](self, v, p)
        elif type(v.type) is not TensorType:
            self._tuple(v)
        elif not op.projects:
            self._plain(v, p)
            if op.elementwise and op.into is not None and op.workspace is None:
                _PLACES[op] = tuple(writable(op))

    def _piece(self, v: Value) -> None:
        """Let a value be computed in its part of a concat, which has a place from its first part on."""
        whole, starts = self.pieces[v.index]
        at = self.arr.get(whole.index)
        if at is None:
            at = self.claim(whole)
        self.fixed[v.index] = self.b.view(at, OPS["slice"], (starts, v.shape, (1,) * v.rank), v.type)

    def concat(self, v: Value) -> None:
        """Join what was not computed in its place."""
        out = self.arr[v.index] if v.index in self.arr else self.claim(v)
        at: DimLike = 0
        for o in v.operands:
            starts = tuple([at if k == v.attrs[0] else 0 for k in range(v.rank)])
            whole, begin = self.pieces.get(o.index, (None, ()))
            if whole is not v or begin != starts:
                source = self.narrow(o, o.shape)
                self.emit("copy", (source,), (self.b.view(out, OPS["slice"], (starts, o.shape, (1,) * v.rank), o.type),), v)
            at = at + o.shape[v.attrs[0]]

    def prepare(self) -> None:
        """To be called once, between the analysis with its corrections and `run`."""
        self._dying = self.dying()

    def _plain(self, v: Value, p: int) -> None:
        op = v.op
        if op.elementwise:
            shape = v.type.shape
            operands = tuple([self.narrow(o, shape) for o in v.operands])
            out = self.dest(v, p)
        else:
            operands = tuple([self.array(o) for o in v.operands])
            out = self.claim(v)
        self.workspace(v)
        self.b.blocks[self.depth].append(Step("op", operands, (out,), v, op, v.attrs))

    def _dot(self, v: Value) -> None:
        flat: list[int] = []
        for o in self.folded[v.index]:
            at = self.array(o)
            if o.rank > 1:
                self.b.rely(at)
                at = self.b.reshaped(at, (o.type.size,))
            flat.append(at)
        self.emit("dot", tuple(flat), (self.claim(v),), v)

    def workspace(self, v: Value) -> None:
        op = v.op
        if op.workspace is not None:
            self.b.workspaces[op.workspace(v)] = None
        elif op.into is None:
            items = [v.type] if type(v.type) is TensorType else v.type.items
            total: DimLike = 0
            for t in items:
                total = total + t.size * t.dtype.size
            self.b.workspaces[total] = None

    def _tuple(self, v: Value) -> None:
        outs = [-1] * len(v.type.items)
        for w in self.parts.get(v.index, ()):
            outs[w.attrs[0]] = self.claim(w)
        self.workspace(v)
        self.emit("op", tuple([self.array(o) for o in v.operands]), tuple(outs), v, v.attrs, v.op)


def _along(op: Any, attrs: tuple[Any, ...], length: DimLike) -> tuple[Any, ...] | None:
    """The attributes with which a view of a row is the same view of a stack of rows."""
    if op is RESHAPE:
        return ((length, *attrs[0]),)
    if op is PERMUTE:
        return ((0, *[k + 1 for k in attrs[0]]),)
    if op is OPS["slice"]:
        return ((0, *attrs[0]), (length, *attrs[1]), (1, *attrs[2]))
    return None


def writable(op: Any) -> Sequence[int]:
    """The operands whose memory an elementwise op may write its result to: any, if one statement does it all; else those that it names."""
    if op.shares is not None:
        shares: Sequence[int] = op.shares
        return shares
    return range(op.arity or 0) if op.into is None or isinstance(op.into, str) else ()
