"""Memory that a program and NumPy share, both ways: `a[2] = 0` is seen by the program, what the program updates is seen in `a`.

    python examples/sharing.py

`bind` lets a parameter or a state live in your array. It shares or refuses, and never copies in silence: the array has exactly the declared dtype
and shape and can be written. Inputs are only read and outputs are fresh arrays, so nothing else is ever shared.
"""

import numpy as np

import dfg

program = dfg.loads("""
state b : f64[5] = 1.0
output total = sum(b)
update b = b with [3] = 5
""", "sharing.dfg")


def main() -> list[str]:
    """What is seen on either side, step by step."""
    told = []
    a = np.ones(5)
    fn = dfg.compile(program)
    fn.bind(b=a)
    told.append(f"shared: {np.shares_memory(a, fn.state['b'])}")
    a[2] = 0
    told.append(f"a[2] = 0 in NumPy, and the program sees a total of {fn()['total']:g}")
    told.append(f"the program set b[3] = 5, and NumPy sees {a}")
    fn.state["b"][0] = 9
    told.append(f"fn.state['b'][0] = 9, and NumPy sees {a}")
    total = fn()["total"]
    total[...] = -1
    told.append(f"outputs are fresh: changing one leaves the next alone, {fn()['total']:g}")
    try:
        fn.bind(b=np.ones(5, np.float32))
    except dfg.UserError as wrong:
        told.append(f"refused: {wrong.diagnostics[0].message}")
    return told


if __name__ == "__main__":
    print("\n".join(main()))
