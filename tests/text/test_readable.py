"""Readable text is a program whose values are those of the graph it was printed from."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import agree, feed, graphs, outcome

from dfg.diagnostics import UserError
from dfg.frontend.lowering import load_text
from dfg.ir import Graph
from dfg.text import exact, readable
from dfg.types import F32, F64


def lowered(text: str) -> Graph:
    try:
        return load_text(text, "printed.dfg").graph
    except UserError as e:
        raise AssertionError(f"{e}\n{text}") from None


def same_values(graph: Graph, text: str, seed: int = 0) -> None:
    again = lowered(text)
    arrays, sizes = feed(graph, seed)
    a, b = outcome(graph, arrays, sizes), outcome(again, arrays, sizes)
    assert agree(a, b), f"{text}\n{exact(graph)}\n{a}\n{b}"
    assert list(again.roots.outputs) == list(graph.roots.outputs)


@given(graphs(loops=False), st.integers(0, 9))
@settings(max_examples=200)
def test_generated_graphs(graph: Graph, seed: int) -> None:
    same_values(graph, readable(graph), seed)


@given(graphs(loops=False, default_float=F32), st.integers(0, 9))
@settings(max_examples=60)
def test_generated_graphs_in_f32(graph: Graph, seed: int) -> None:
    same_values(graph, readable(graph, default_float=F32), seed)
    same_values(graph, readable(graph, default_float=F64), seed)
