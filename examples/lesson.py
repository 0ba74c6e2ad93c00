"""The lesson in Python: l = sum((exp(w x + b) - y*)^2), and its derivatives by w and b.

    python examples/lesson.py

Tensors follow NumPy's protocols; nothing is computed until `compile` has made a function of the whole graph.
"""

import numpy as np

import dfg

x, ystar = dfg.input("x", "f64[n]"), dfg.input("ystar", "f64[n]")
w = dfg.param("w", "f64", 0.5)
b = dfg.param("b", "f64", 2.0)

u = w * x
v = u + b
y = np.exp(v)
l = np.sum((y - ystar) ** 2)
dl_dw, dl_db = dfg.grad(l, [w, b])

fn = dfg.compile({"y": y, "l": l, "dl_dw": dl_dw, "dl_db": dl_db})

if __name__ == "__main__":
    for name, value in fn(x=[0.5], ystar=[0.037371]).items():
        print(f"{name:5} = {value}")
    print()
    print(fn.program, end="")
