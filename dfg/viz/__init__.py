"""Pictures of graphs: forward, backward or both, as SVG, PNG or DOT.

`view` makes a picture of a graph (`scene` and `fold` decide what is in it, `words` how it is called), `picture` is the drawing as data,
`engine` places it (Graphviz in a child process, or `layered`), `draw` writes the SVG. `render` and `svg` are what other parts call.
"""
