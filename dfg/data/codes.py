"""The diagnostic codes of `dfg.data`: code -> (title, explanation, what fails, what works)."""

from __future__ import annotations

CODES: dict[str, tuple[str, str, str, str]] = {
    "bad-literal": (
        "a value is not a literal",
        "A value given on the command line is a number, `true`, `false`, `inf`, `nan`, `pi`, or a list of these in brackets, or the "
        "name of a file. It is read, not computed: there is no arithmetic in it. `./0.5` names a file that looks like a number.",
        "dfg run lesson.dfg --input x=[1/2]",
        "dfg run lesson.dfg --input x=[0.5]",
    ),
    "ragged-literal": (
        "the elements of a list differ in shape",
        "A list in brackets is an array, so its elements have one shape: lists of one length, or all numbers.",
        "dfg run model.dfg --input 'a=[[1, 2], [3]]'",
        "dfg run model.dfg --input 'a=[[1, 2], [3, 4]]'",
    ),
    "does-not-fit": (
        "a written number does not fit the wanted dtype",
        "A written number takes the dtype of the input. An integer fits every number dtype in whose range it lies; a float fits f32 "
        "and f64; `true` and `false` fit all.",
        "dfg run model.dfg --input 'labels=[1.5, 300]'      # input labels : u8[n]",
        "dfg run model.dfg --input 'labels=[1, 30]'",
    ),
    "wrong-dtype": (
        "an array has a dtype that the input does not take",
        "An array from a file is converted only upwards in bool < u8 < i32 < i64 < f32 < f64, and only where every value survives; dfg "
        "never rounds your data silently. Save it with the wanted dtype, or declare the input with the file's.",
        "# input x : f32[n]\nnp.save(\"x.npy\", np.linspace(0, 1, 5))                      # float64",
        "# input x : f32[n]\nnp.save(\"x.npy\", np.linspace(0, 1, 5).astype(np.float32))",
    ),
    "wrong-shape": (
        "an array has another shape than the input",
        "The axes of a value are those that the input declares; nothing is stretched, squeezed or transposed for you.",
        "dfg run model.dfg --input x=0.5                    # input x : f64[n]",
        "dfg run model.dfg --input x=[0.5]",
    ),
    "no-such-file": (
        "there is no such file",
        "A value that is no literal is the name of a file, looked up in the current folder.",
        "dfg run model.dfg --input x=dta.npy",
        "dfg run model.dfg --input x=data.npy",
    ),
    "cannot-read": (
        "a file cannot be read",
        "Only regular files that you may read are opened: no folders, devices, pipes or sockets, also not through a link. "
        "`-` reads standard input.",
        "dfg run model.dfg --input x=/dev/stdin",
        "dfg run model.dfg --input x=- < x.npy",
    ),
    "cannot-write": (
        "a result cannot be written",
        "Results are written to a temporary file beside the target and renamed. Where that is not possible (no folder, no permission, "
        "no space, or results that the format cannot hold), the old file stays as it was.",
        "dfg run model.dfg --out no-such-folder/y.npz",
        "dfg run model.dfg --out y.npz",
    ),
    "outside-folder": (
        "a file lies outside the program's folder",
        "A program reads files only from its own folder tree, also through links, so that a program from elsewhere cannot read yours.",
        "const k = load(\"../../secret.npy\")",
        "const k = load(\"table.npy\")",
    ),
    "bad-file": (
        "a file is damaged, or not what its name says",
        "The file is cut off, its parts contradict each other, or its bytes are of another format than its suffix. "
        "Make it again, or correct its name.",
        "cp picture.png x.npy; dfg run model.dfg --input x=x.npy",
        "dfg run model.dfg --input x=picture.png",
    ),
    "unsafe-file": (
        "a file asks for code to run",
        "A pickle is a program. dfg reads the plain data of a CIFAR batch from one and refuses everything else; nothing "
        "is ever imported or called.",
        "pickle.dump(model, open(\"m.pkl\", \"wb\"))",
        "np.savez(\"m.npz\", w=model.w, b=model.b)",
    ),
    "too-large": (
        "more data than the limit",
        "Sizes are checked before anything is read or unpacked, so that a small hostile file cannot fill the memory. The limit for "
        "arrays is 8 GiB, or what the environment variable DFG_MAX_BYTES says.",
        "dfg run model.dfg --input x=huge.npy",
        "DFG_MAX_BYTES=64GiB dfg run model.dfg --input x=huge.npy",
    ),
    "bad-limit": (
        "DFG_MAX_BYTES is not a size",
        "The limit is a whole number of bytes, with K, M, G or T for the powers of 1024.",
        "DFG_MAX_BYTES=lots dfg run model.dfg",
        "DFG_MAX_BYTES=16GiB dfg run model.dfg",
    ),
    "missing-key": (
        "a file holds nothing of that name",
        "After the colon stands the name of an array in an archive, a column of a table, or a part of a batch (`images`, `labels`). "
        "Without it the file must hold one array, or one that is called like the input.",
        "dfg run model.dfg --input x=data.npz:imgaes",
        "dfg run model.dfg --input x=data.npz:images",
    ),
    "duplicate-key": (
        "a file holds one name twice",
        "Which of the two is meant cannot be known. Give each array and each column a name of its own.",
        "a,b,a\n1,2,3",
        "a,b,c\n1,2,3",
    ),
    "bad-table": (
        "a table has a cell that is no number, or rows of different lengths",
        "A .csv table is UTF-8 text with commas between the cells, the same number of cells in each row, and a number, `true`, `false`, "
        "`inf` or `nan` in each cell that is read. The first row may name the columns.",
        "x,y\n1,2\n3,\n5",
        "x,y\n1,2\n3,nan\n5,6",
    ),
    "unknown-format": (
        "the name does not tell a format",
        "The suffix of a file's name chooses its format.",
        "dfg run model.dfg --out results.dat",
        "dfg run model.dfg --out results.npz",
    ),
    "bad-image": (
        "an array is no picture",
        "A picture is u8, or floats in 0..1, of shape [h, w], [h, w, c] with c of 1, 3 or 4, or [c, h, w] with c of 1 or 3.",
        "dfg run model.dfg --out y.png                     # y : f64[h, w] in -1..1",
        "output y = (z + 1) / 2",
    ),
    "missing-extra": (
        "an optional package is not installed",
        "Parts of dfg use packages that it does not need otherwise. The message names the extra that brings the package.",
        "dfg run model.dfg --input x=picture.png           # without Pillow",
        "pip install 'dfg[images]'",
    ),
}
