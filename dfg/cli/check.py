"""Find everything wrong with programs, without running them.

Errors and warnings of all files are reported in one run. `--asserts` also lists what must be verified when sizes arrive, `--casts` every
implicit conversion with its reason; `--strict` refuses these.
"""

from __future__ import annotations

import argparse
import sys

from dfg.cli.common import add_file, read_program, tell, write_json
from dfg.diagnostics import Diagnostic, UserError


def configure(parser: argparse.ArgumentParser) -> None:
    add_file(parser, many=True)
    parser.add_argument("--asserts", action="store_true", help="list the facts about sizes that are verified when data arrives")
    parser.add_argument("--casts", action="store_true", help="list every implicit conversion, with its reason")
    parser.add_argument("--strict", action="store_true", help="refuse implicit conversions")
    parser.add_argument("--json", action="store_true", help="diagnostics as JSON on standard output")
    parser.add_argument("--concise", action="store_true", help="one line for each diagnostic")


def run(args: argparse.Namespace) -> int:
    from dfg.diagnostics.render import as_json

    found: list[Diagnostic] = []
    reports: list[dict[str, object]] = []
    for path in args.files:
        report: dict[str, object] = {"file": path, "ok": True}
        lines: list[str] = []
        try:
            program = read_program(path)
            checked = program.check(strict=args.strict)
            given = [*checked.warnings]
            report.update(inputs=_texts(program.inputs), params=_texts(program.params), states=_texts(program.states),
                          outputs=_texts(program.outputs))
            counts = [f"{len(group)} {word}{'' if len(group) == 1 else 's'}" for group, word in
                      ((program.inputs, "input"), (program.params, "parameter"), (program.states, "state"), (program.outputs, "output")) if group]
            lines.append(f"{program.name}: ok ({', '.join(counts) or 'nothing declared'})")
            if args.asserts:
                report["asserts"] = [{"text": text, "place": place} for text, place in checked.asserts]
                lines.extend(_listed("verified when sizes arrive", checked.asserts))
            if args.casts:
                report["casts"] = [{"text": text, "place": place} for text, place in checked.casts]
                lines.extend(_listed("implicit conversions", checked.casts))
        except UserError as wrong:
            given = list(wrong.diagnostics)
            report["ok"] = False
        found.extend(given)
        reports.append(report)
        if not args.json:
            tell(given, concise=args.concise)
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()
    if args.json:
        write_json({"diagnostics": as_json(found), "files": reports})
    return 0 if all(report["ok"] for report in reports) else 1


def _texts(types: object) -> dict[str, str]:
    return {name: str(type) for name, type in dict(types).items()}  # type: ignore[call-overload]


def _listed(title: str, items: tuple[tuple[str, str], ...]) -> list[str]:
    if not items:
        return [f"  {title}: none"]
    return [f"  {title}:", *(f"    {text}{f'  ({place})' if place else ''}" for text, place in items)]
