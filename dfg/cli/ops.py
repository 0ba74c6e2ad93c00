"""List the functions by family, print the page of one, or prove their rules on this machine.

`dfg ops` lists; `dfg ops NAME` prints signature, arguments, types, formula, gradient, kinks and an example; `dfg ops --check [NAME...]` proves each op's
definition: its types, its gradients at orders 1 and 2 against differences, its axes, its traits, and what it must refuse.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence

from dfg.cli.common import misuse, nearest_of, write, write_json


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="functions such as softmax; without one, all are listed")
    parser.add_argument("--check", action="store_true", help="prove the definitions of all ops, or of those that the named functions consist of")
    parser.add_argument("--markdown", action="store_true", help="the reference of all functions, as docs/ops.md has it")
    parser.add_argument("--json", action="store_true", help="the table, the pages or the proof as JSON")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file instead of standard output")


def run(args: argparse.Namespace) -> int:
    if args.check:
        if args.markdown:
            raise misuse("`--check` and `--markdown` do not go together", "leave one out")
        return _check(args.names, args.json)
    from dataclasses import asdict

    from dfg.tools import reference

    names = _known(args.names)
    if args.markdown:
        if names:
            raise misuse("`--markdown` is the whole reference", "`dfg ops NAME` prints one page")
        write(reference.document(), args.output)
    elif args.json:
        write_json({"functions": [asdict(reference.page(n)) for n in names]} if names else {"families": reference.table()})
    elif names:
        write("\n".join(reference.page_text(reference.page(n)) for n in names), args.output)
    else:
        write(reference.table_text(), args.output)
    return 0


def _known(names: Sequence[str], more: Iterable[str] = ()) -> list[str]:
    """The names, if each is one; a misuse with the nearest if not."""
    if not names:
        return []
    from dfg.tools import reference

    known = [*reference.every_name(), *more]
    for name in names:
        if name not in known:
            near = nearest_of(name, known)
            raise misuse(f"there is no function `{name}`", f"did you mean `{near}`?" if near else "`dfg ops` lists the functions")
    return list(names)


def _check(names: Sequence[str], as_json: bool) -> int:
    import dfg.ops.functions  # noqa: F401 - fills the tables
    from dfg.ops.base import OPS
    from dfg.tools import reference
    from dfg.tools.proof import cases_of, prove
    from dfg.tools.structure import programs_of, prove_structure

    wanted: list[str] = []
    for name in _known(names, OPS):
        wanted += [name] if name in OPS else reference.page(name).ops
    chosen = list(dict.fromkeys(wanted)) if names else sorted(OPS)
    width = max(map(len, chosen), default=0)
    rows: list[dict[str, object]] = []
    wrong = 0
    start = time.perf_counter()
    if not as_json:
        sys.stdout.write(f"{'op':{width}}  {'proved on':12}  seconds  verdict\n")
    for name in chosen:
        began = time.perf_counter()
        op = OPS[name]
        if op.samples is not None:
            count, found, kind = len(cases_of(op)), prove(op), "sample"
        else:
            count, found, kind = len(programs_of(name)), prove_structure(name), "program"
        if count == 0:
            found = [f"{name} has nothing to be proved on"]
        took = time.perf_counter() - began
        wrong += bool(found)
        rows.append({"op": name, "proved_on": count, "kind": kind, "seconds": round(took, 3), "wrong": found})
        if not as_json:
            shown = f"{count} {kind}{'' if count == 1 else 's'}"
            sys.stdout.write(f"{name:{width}}  {shown:12}  {took:7.2f}  {'wrong' if found else 'holds'}\n")
            sys.stdout.writelines(f"    {text}\n" for text in found)
            sys.stdout.flush()
    if as_json:
        write_json({"ops": rows, "wrong": wrong})
    else:
        sys.stdout.write(f"\n{len(chosen) - wrong} of {len(chosen)} ops hold ({time.perf_counter() - start:.1f} s)\n")
    return 1 if wrong else 0
