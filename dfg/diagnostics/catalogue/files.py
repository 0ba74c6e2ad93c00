"""Codes about files: tables, images and checkpoints that are read, results and pictures that are written."""

from __future__ import annotations

from dfg.diagnostics.catalogue import Code, code, shown

CODES: dict[str, Code] = {
    "outside-folder": code(
        "a file outside the program's folder",
        """A program reads files only in its own folder and below it, also through links, so that a program from elsewhere can be run without
        fear. Copy the file into the folder.""",
        """
        use "../layers.dfg" as layers
        input x : f64
        output y = 2 * x
        """,
        """
        input x : f64
        output y = 2 * x
        """,
    ),
    "cannot-read": shown(
        "a file that cannot be read",
        """Only regular files that you may read are opened: no folders, devices, pipes or sockets, also not through a link. `-` reads
        standard input.""",
        "dfg run model.dfg --input x=/dev/stdin",
        "dfg run model.dfg --input x=- < x.npy",
    ),
    "cannot-write": shown(
        "a result that cannot be written",
        """Results are written to a temporary file beside the target and renamed. Where that is not possible (no folder, no permission, no
        space, or results that the format cannot hold), the old file stays as it was.""",
        "dfg run model.dfg --out no-such-folder/y.npz",
        "dfg run model.dfg --out y.npz",
    ),
    "bad-file": shown(
        "a file that is damaged, or not what its name says",
        """The file is cut off, its parts contradict each other, or its bytes are of another format than its suffix. Make it again, or
        correct its name.""",
        "cp picture.png x.npy; dfg run model.dfg --input x=x.npy",
        "dfg run model.dfg --input x=picture.png",
    ),
    "unsafe-file": shown(
        "a file that asks for code to run",
        """A pickle is a program. dfg reads the plain data of a CIFAR batch from one and refuses everything else; nothing is ever imported or
        called.""",
        """
        pickle.dump(model, open("m.pkl", "wb"))
        """,
        """
        np.savez("m.npz", w=model.w, b=model.b)
        """,
    ),
    "too-large": shown(
        "more than the limit",
        """Sizes are checked before anything is read or unpacked, so that a small hostile file cannot fill the memory. The limit for arrays is
        8 GiB, or what the environment variable DFG_MAX_BYTES says; tables in a program's text belong into .npz files.""",
        "dfg run model.dfg --input x=huge.npy",
        "DFG_MAX_BYTES=64GiB dfg run model.dfg --input x=huge.npy",
    ),
    "bad-limit": shown(
        "a DFG_MAX_BYTES that is not a size",
        "The limit is a whole number of bytes, with K, M, G or T for the powers of 1024.",
        "DFG_MAX_BYTES=lots dfg run model.dfg",
        "DFG_MAX_BYTES=16GiB dfg run model.dfg",
    ),
    "missing-key": shown(
        "a file that holds nothing of that name",
        """After the colon stands the name of an array in an archive, a column of a table, or a part of a batch (`images`, `labels`). Without
        it the file must hold one array, or one that is called like the input.""",
        "dfg run model.dfg --input x=data.npz:imgaes",
        "dfg run model.dfg --input x=data.npz:images",
    ),
    "duplicate-key": shown(
        "a file that holds one name twice",
        "Which of the two is meant cannot be known. Give each array and each column a name of its own.",
        """
        a,b,a
        1,2,3
        """,
        """
        a,b,c
        1,2,3
        """,
    ),
    "bad-table": shown(
        "a table with a cell that is no number, or rows of different lengths",
        """A .csv table is UTF-8 text with commas between the cells, the same number of cells in each row, and a number, `true`, `false`, `inf`
        or `nan` in each cell that is read. The first row may name the columns.""",
        """
        x,y
        1,2
        3,
        5
        """,
        """
        x,y
        1,2
        3,nan
        5,6
        """,
    ),
    "unknown-format": shown(
        "a file name that tells no format",
        "The suffix of a file's name chooses its format.",
        "dfg run model.dfg --out results.dat",
        "dfg run model.dfg --out results.npz",
    ),
    "bad-image": shown(
        "an array that is no picture",
        "A picture is u8, or floats in 0..1, of shape [h, w], [h, w, c] with c of 1, 3 or 4, or [c, h, w] with c of 1 or 3.",
        "dfg run model.dfg --out y.png    # y : f64[h, w] in -1..1",
        "dfg run model.dfg --out y.png    # output y = (z + 1) / 2",
    ),
    "layout-failed": shown(
        "a picture that no layout engine could draw",
        """The engine ended with an error or ran past its time limit, and so did the next ones that were allowed. The notes have what each of
        them said.""",
        "dfg render huge.dfg huge.svg --engine dot",
        "dfg render huge.dfg huge.svg --engine layered",
    ),
    "picture-too-large": shown(
        "a picture with more pixels than one can read",
        "PNG is limited in size, so that a graph of thousands of nodes does not fill the memory. SVG has no such limit.",
        "dfg render huge.dfg huge.png",
        "dfg render huge.dfg huge.svg",
    ),
    "unknown-engine": shown(
        "a layout engine that does not exist",
        "The message lists the engines.",
        "dfg render model.dfg model.svg --engine dto",
        "dfg render model.dfg model.svg --engine dot",
    ),
    "unknown-view": shown(
        "a view of a graph that does not exist",
        "A picture shows the forward pass, the backward pass, or both side by side.",
        "dfg render model.dfg model.svg --view backwards",
        "dfg render model.dfg model.svg --view backward",
    ),
    "no-gradient": shown(
        "a picture of a backward pass that is not there",
        "The backward pass is what the program's gradients need; without a `grad` there is none. The forward view always works.",
        "dfg render model.dfg model.svg --view backward    # output y = exp(x)",
        "dfg render model.dfg model.svg --view backward    # output dy_dx = grad(y, x)",
    ),
    "nothing-to-draw": shown(
        "a picture of a program without outputs",
        "A picture starts from the outputs (or, without any, from the updates) and shows what they need.",
        "dfg render model.dfg model.svg    # y = exp(x)",
        "dfg render model.dfg model.svg    # output y = exp(x)",
    ),
}
