# ruff: noqa
# mypy: ignore-errors
"""What each op of the conformance corpus means, in NumPy and SciPy, forward only. A function's parameters are a case's inputs and attributes, by name; it returns one array or a tuple."""
import numpy as np, scipy.special as sc, scipy.linalg as sl, math
OPS = {}
def op(f): OPS[f.__name__.rstrip("_")] = f; return f
def reg(**kw): OPS.update(kw)
def ax(a): return tuple(a) if isinstance(a, list) else a
def red(f):
    def g(x, axis=None, keepdims=False):
        a = ax(axis)
        if a == (): a = None                       # torch: empty axis list = all axes
        return f(x, axis=a if np.ndim(x) else None, keepdims=keepdims)
    return g
# ---- elementwise unary
for n in ("abs exp exp2 expm1 log log2 log10 log1p sqrt square reciprocal sin cos tan sinh cosh tanh sign floor ceil trunc isnan isfinite isinf signbit deg2rad rad2deg positive logical_not sinc".split()):
    OPS[n] = (lambda f: lambda x: f(x))(getattr(np, n))
reg(neg=lambda x: -x, asin=lambda x: np.arcsin(x), acos=lambda x: np.arccos(x), atan=lambda x: np.arctan(x), asinh=lambda x: np.arcsinh(x), acosh=lambda x: np.arccosh(x), atanh=lambda x: np.arctanh(x),
    rsqrt=lambda x: 1/np.sqrt(x), frac=lambda x: x-np.trunc(x), sigmoid=lambda x: sc.expit(x), erf=lambda x: sc.erf(x), erfc=lambda x: sc.erfc(x), erfinv=lambda x: sc.erfinv(x), erfcx=lambda x: sc.erfcx(x),
    lgamma=lambda x: sc.gammaln(x), digamma=lambda x: sc.digamma(x), polygamma=lambda x, n=1: sc.polygamma(n, x).astype(np.asarray(x).dtype), i0=lambda x: sc.i0(x), i0e=lambda x: sc.i0e(x), i1=lambda x: sc.i1(x), ndtr=lambda x: sc.ndtr(x), ndtri=lambda x: sc.ndtri(x), log_ndtr=lambda x: sc.log_ndtr(x),
    entr=lambda x: sc.entr(x), round=lambda x, decimals=0: np.round(x, decimals), relu=lambda x: np.maximum(x, 0), relu6=lambda x: np.clip(x, 0, 6), softsign=lambda x: x/(1+abs(x)), silu=lambda x: x*sc.expit(x), mish=lambda x: x*np.tanh(np.logaddexp(x, 0)),
    logsigmoid=lambda x: -np.logaddexp(-x, 0), hardsigmoid=lambda x: np.clip(x/6+.5, 0, 1), hardswish=lambda x: x*np.clip(x+3, 0, 6)/6, tanhshrink=lambda x: x-np.tanh(x), mvlgamma=lambda x, p=1: p*(p-1)/4*math.log(math.pi)+sum(sc.gammaln(x-i/2) for i in range(p)))
@op
def softplus(x, beta=1, threshold=20): return np.where(x*beta > threshold, x, np.logaddexp(x*beta, 0)/beta)
@op
def gelu(x, approximate="none"): return x*sc.ndtr(x) if approximate == "none" else .5*x*(1+np.tanh(math.sqrt(2/math.pi)*(x+.044715*x**3)))
@op
def elu(x, alpha=1.0): return np.where(x > 0, x, alpha*np.expm1(np.minimum(x, 0)))
@op
def celu(x, alpha=1.0): return np.maximum(x, 0)+np.minimum(0, alpha*np.expm1(x/alpha))
@op
def selu(x): return 1.0507009873554805*np.where(x > 0, x, 1.6732632423543772*np.expm1(np.minimum(x, 0)))
@op
def leaky_relu(x, negative_slope=0.01): return np.where(x > 0, x, x*negative_slope)
@op
def hardtanh(x, min_val=-1., max_val=1.): return np.clip(x, min_val, max_val)
@op
def softshrink(x, lambd=.5): return np.where(x > lambd, x-lambd, np.where(x < -lambd, x+lambd, 0*x))
@op
def hardshrink(x, lambd=.5): return np.where(abs(x) > lambd, x, 0*x)
@op
def logit(x, eps=None):
    if eps is not None: x = np.clip(x, eps, 1-eps)
    return np.log(x)-np.log1p(-x)
@op
def nan_to_num(x, nan=0.0, posinf=None, neginf=None): return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)
@op
def glu(x, axis=-1): a, b = np.split(x, 2, axis); return a*sc.expit(b)
# ---- elementwise binary / ternary
reg(add=lambda x, y, alpha=1: x+alpha*y, sub=lambda x, y, alpha=1: x-alpha*y, mul=lambda x, y: x*y, div=lambda x, y: x/y, floor_divide=lambda x, y: np.floor_divide(x, y), remainder=lambda x, y: np.remainder(x, y), fmod=lambda x, y: np.fmod(x, y), pow=lambda x, y: np.power(x, y),
    maximum=lambda x, y: np.maximum(x, y), minimum=lambda x, y: np.minimum(x, y), fmax=lambda x, y: np.fmax(x, y), fmin=lambda x, y: np.fmin(x, y), atan2=lambda x, y: np.arctan2(x, y), hypot=lambda x, y: np.hypot(x, y), logaddexp=lambda x, y: np.logaddexp(x, y), logaddexp2=lambda x, y: np.logaddexp2(x, y),
    copysign=lambda x, y: np.copysign(x, y), xlogy=lambda x, y: sc.xlogy(x, y), xlog1py=lambda x, y: sc.xlog1py(x, y), heaviside=lambda x, y: np.heaviside(x, y), eq=lambda x, y: x == y, ne=lambda x, y: x != y, lt=lambda x, y: x < y, le=lambda x, y: x <= y, gt=lambda x, y: x > y, ge=lambda x, y: x >= y,
    logical_and=lambda x, y: np.logical_and(x, y), logical_or=lambda x, y: np.logical_or(x, y), logical_xor=lambda x, y: np.logical_xor(x, y), ldexp=lambda x, y: x*2.0**y, lerp=lambda x, y, weight: x+weight*(y-x), where=lambda cond, x, y: np.where(cond, x, y), masked_fill=lambda x, mask, value: np.where(mask, value, x).astype(x.dtype),
    clip=lambda x, lo=None, hi=None: np.minimum(np.maximum(x, lo) if lo is not None else x, hi) if hi is not None else np.maximum(x, lo),
    addcmul=lambda x, y, z, value=1: x+value*y*z, addcdiv=lambda x, y, z, value=1: x+value*y/z, gammainc=lambda x, y: sc.gammainc(x, y))
@op
def isclose(x, y, rtol=1e-5, atol=1e-8, equal_nan=False): return np.isclose(x, y, rtol, atol, equal_nan)
# ---- reductions and scans
reg(sum=red(np.sum), mean=red(np.mean), max=red(np.max), min=red(np.min), any=red(np.any), all=red(np.all), nansum=red(np.nansum))
@op
def prod(x, axis=None, keepdims=False): return np.prod(x, axis=ax(axis) if x.ndim else None, keepdims=keepdims)
@op
def count_nonzero(x, axis=None): return np.count_nonzero(x, axis=ax(axis) if x.ndim and ax(axis) != () else None)
def _corr(unbiased, correction): return (1 if unbiased in (None, True) else 0) if correction is None else correction
def _var(x, axis=None, keepdims=False, correction=1):
    a = ax(axis); a = None if a == () else a
    m = x.mean(axis=a, keepdims=True); n = x.size//max(m.size, 1) if m.size else 0
    return ((x-m)**2).sum(axis=a, keepdims=keepdims)/max(n-correction, 0)
@op
def var(x, axis=None, keepdims=False, correction=1): return _var(x, axis, keepdims, correction)
@op
def std(x, axis=None, keepdims=False, correction=1): return np.sqrt(_var(x, axis, keepdims, correction))
@op
def argmax(x, axis=None, keepdims=False): return np.argmax(x, axis=axis if x.ndim else None, keepdims=keepdims)
@op
def argmin(x, axis=None, keepdims=False): return np.argmin(x, axis=axis if x.ndim else None, keepdims=keepdims)
@op
def logsumexp(x, axis=None, keepdims=False):
    if np.ndim(x) == 0: return x
    return np.asarray(sc.logsumexp(x, axis=ax(axis) if np.ndim(x) else None, keepdims=keepdims))
@op
def cumsum(x, axis): return np.cumsum(x, axis if x.ndim else None).reshape(x.shape)
@op
def cumprod(x, axis): return np.cumprod(x, axis if x.ndim else None).reshape(x.shape)
@op
def logcumsumexp(x, axis): return np.logaddexp.accumulate(x, axis) if x.ndim else x
@op
def cummax(x, axis): return np.maximum.accumulate(x, axis) if x.ndim else x
@op
def vector_norm(x, ord=2, axis=None, keepdims=False):
    if x.ndim == 0: return abs(x) if ord != 0 else (x != 0).astype(x.dtype)
    a = ax(axis); a = tuple(range(x.ndim)) if a is None else (a if isinstance(a, tuple) else (a,)); y = abs(x)
    if ord == math.inf: return y.max(axis=a, keepdims=keepdims)
    if ord == -math.inf: return y.min(axis=a, keepdims=keepdims)
    if ord == 0: return (x != 0).sum(axis=a, keepdims=keepdims).astype(x.dtype)
    return (y**ord).sum(axis=a, keepdims=keepdims)**(1/ord)
@op
def matrix_norm(x, ord="fro", keepdims=False): return np.linalg.norm(x, ord=ord, axis=(-2, -1), keepdims=keepdims)
@op
def diff(x, n=1, axis=-1, prepend=None, append=None):
    k = {k: v for k, v in (("prepend", prepend), ("append", append)) if v is not None}
    return np.diff(x, n=n, axis=axis, **k) if n else x
@op
def trapezoid(y, x=None, axis=-1, dx=1.0): return np.trapezoid(y, x, dx, axis)
@op
def quantile(x, q, axis=None, keepdims=False, interpolation="linear"): return np.quantile(x, q, axis=axis if x.ndim else None, keepdims=keepdims, method=interpolation)
@op
def median_lower(x, axis=None, keepdims=False):
    """Lower median (torch.median): sorted(x)[(n-1)//2]."""
    if axis is None or x.ndim == 0: return np.sort(x.ravel())[(x.size-1)//2]
    y = np.take(np.sort(x, axis), (x.shape[axis]-1)//2, axis); return np.expand_dims(y, axis) if keepdims else y
# ---- sorting and searching
@op
def sort(x, axis=-1, descending=False):
    if x.ndim == 0: return x
    y = np.sort(x, axis); return np.flip(y, axis) if descending else y
@op
def argsort(x, axis=-1, descending=False):
    if x.ndim == 0: return np.zeros((), np.int64)
    return np.argsort(-x if descending else x, axis, kind="stable")
@op
def topk(x, k, axis=-1, largest=True):
    if x.ndim == 0: return x, np.zeros((), np.int64)
    i = np.take(np.argsort(-x if largest else x, axis, kind="stable"), np.arange(k), axis); return np.take_along_axis(x, i, axis), i
@op
def searchsorted(sorted_, values, side="left"):
    if sorted_.ndim == 1: return np.searchsorted(sorted_, values, side)
    out = np.empty(values.shape, np.int64)
    for i in np.ndindex(*values.shape[:-1]): out[i] = np.searchsorted(sorted_[i], values[i], side)
    return out
# ---- linear algebra
reg(matmul=lambda x, y: np.matmul(x, y), dot=lambda x, y: np.dot(x, y), outer=lambda x, y: np.outer(x, y), inner=lambda x, y: np.inner(x, y), kron=lambda x, y: np.kron(x, y), einsum=lambda xs, subscripts: np.einsum(subscripts, *xs), trace=lambda x: np.trace(x), multi_dot=lambda xs: np.linalg.multi_dot(xs), matrix_power=lambda x, n: np.linalg.matrix_power(x, n),
    inv=lambda x: np.linalg.inv(x), det=lambda x: np.linalg.det(x), logdet=lambda x: np.linalg.slogdet(x)[1] + np.log(np.linalg.slogdet(x)[0]), svdvals=lambda x: np.linalg.svd(x, compute_uv=False), addmm=lambda x, y, z, alpha=1, beta=1: beta*x+alpha*(y@z))
@op
def slogdet(x): r = np.linalg.slogdet(x); return r[0], r[1]
@op
def tensordot(x, y, axes): return np.tensordot(x, y, axes if isinstance(axes, int) else tuple(tuple(a) for a in axes))
@op
def vecdot(x, y, axis=-1): return (x*y).sum(axis)
@op
def cross(x, y, axis=-1): return np.cross(x, y, axis=axis)
def _sym(x): return (x+np.swapaxes(x, -1, -2))/2
@op
def cholesky(x, upper=False):
    """of the symmetric part: cholesky((x+x^T)/2)."""
    L = np.linalg.cholesky(_sym(x)); return np.swapaxes(L, -1, -2) if upper else L
@op
def eigvalsh(x): return np.linalg.eigvalsh(_sym(x))
@op
def eigh_fun(x):
    """V diag(sin w) V^T with w,V = eigh((x+x^T)/2): gauge free."""
    w, V = np.linalg.eigh(_sym(x)); return (V*np.sin(w)[..., None, :]) @ np.swapaxes(V, -1, -2)
@op
def svd_fun(x):
    """U diag(s*s) Vh with U,s,Vh = svd(x, full_matrices=False): gauge free."""
    U, s, Vh = np.linalg.svd(x, full_matrices=False); return (U*(s*s)[..., None, :]) @ Vh
@op
def qr_pos(x):
    """Reduced QR with diag(R) > 0 (unique for full column rank)."""
    Q, R = np.linalg.qr(x); s = np.sign(np.diagonal(R, axis1=-2, axis2=-1)); k = s.shape[-1]
    return Q*s[..., None, :], R*s[..., :, None]
@op
def solve(x, b):
    if b.ndim == 1 or (x.ndim-1 == b.ndim and x.shape[:-1] == b.shape): return np.linalg.solve(x, b[..., None])[..., 0]
    return np.linalg.solve(x, b)
@op
def solve_triangular(x, b, upper, left=True, unitriangular=False):
    A = np.triu(x) if upper else np.tril(x)
    if unitriangular: n = A.shape[-1]; e = np.eye(n, dtype=A.dtype); A = A*(1-e)+e
    if left: return np.linalg.solve(A, b)
    return np.swapaxes(np.linalg.solve(np.swapaxes(A, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)
@op
def cholesky_solve(b, x, upper=False):
    x = np.triu(x) if upper else np.tril(x); A = np.swapaxes(x, -1, -2) @ x if upper else x @ np.swapaxes(x, -1, -2); return np.linalg.solve(A, b)
@op
def pinv(x): return np.linalg.pinv(x)
@op
def lstsq(x, b):
    """least-squares solution, x tall and full rank."""
    return np.linalg.solve(np.swapaxes(x, -1, -2) @ x, np.swapaxes(x, -1, -2) @ b)
@op
def matrix_exp(x): return sl.expm(x)
@op
def cdist(x, y, p=2.0):
    d = abs(x[..., :, None, :]-y[..., None, :, :]); return d.max(-1) if p == math.inf else (d**p).sum(-1)**(1/p)
# ---- shape
reg(reshape=lambda x, shape: np.reshape(x, shape), transpose=lambda x, axes: np.transpose(x, axes), swapaxes=lambda x, axis1, axis2: np.swapaxes(x, axis1, axis2) if x.ndim else x, expand_dims=lambda x, axis: np.expand_dims(x, axis), moveaxis=lambda x, source, destination: np.moveaxis(x, source, destination),
    broadcast_to=lambda x, shape: np.broadcast_to(x, shape), tile=lambda x, reps: np.tile(x, reps), flip=lambda x, axis: np.flip(x, tuple(axis)) if len(axis) else x, rot90=lambda x, k=1, axes=(0, 1): np.rot90(x, k, axes), concat=lambda xs, axis=0: np.concatenate([a for a in xs if a.shape != (0,)] or xs[:1], axis) , stack=lambda xs, axis=0: np.stack(xs, axis),
    hstack=lambda xs: np.hstack(xs), vstack=lambda xs: np.vstack(xs), tril=lambda x, k=0: np.tril(x, k), triu=lambda x, k=0: np.triu(x, k), diag=lambda x, k=0: np.diag(x, k), diagonal=lambda x, offset=0, axis1=0, axis2=1: np.diagonal(x, offset, axis1, axis2), one_hot=lambda x, n: (x[..., None] == np.arange(n)).astype(np.int64), embedding=lambda w, index: w[index])
@op
def squeeze(x, axis=None):
    if axis is None: return np.squeeze(x)
    a = [axis] if isinstance(axis, int) else axis
    return np.squeeze(x, tuple(i for i in a if x.ndim and x.shape[i] == 1)) if x.ndim else x   # size != 1: left alone
@op
def flatten(x, start=0, end=-1):
    if x.ndim == 0: return x.reshape(1)
    e = end % x.ndim; s = start % x.ndim; return x.reshape(x.shape[:s]+(-1,)+x.shape[e+1:])
@op
def roll(x, shift, axis=None): return np.roll(x, shift, ax(axis))
@op
def repeat(x, repeats, axis=None): return np.repeat(x, repeats, axis)
@op
def split(x, size, axis=0):
    n = x.shape[axis]; cuts = list(range(size, n, size)) if isinstance(size, int) else list(np.cumsum(size)[:-1]); return tuple(np.split(x, cuts, axis))
@op
def chunk(x, n, axis=0): return split(x, -(-x.shape[axis]//n), axis)
@op
def unstack(x, axis=0): return tuple(np.moveaxis(x, axis, 0))
@op
def diag_embed(x, offset=0, axis1=-2, axis2=-1):
    n = x.shape[-1]+abs(offset); y = np.zeros(x.shape[:-1]+(n, n), x.dtype); i = np.arange(x.shape[-1]); y[..., i+max(-offset, 0), i+max(offset, 0)] = x
    return np.moveaxis(y, (-2, -1), (axis1, axis2))
@op
def pad(x, pad_width, mode="constant", value=0.0):
    """pad_width: [[before, after], ...] per axis (NumPy order); negative crops (constant only). mode constant|reflect|edge|wrap."""
    sl_ = tuple(slice(max(-b, 0), n-max(-a, 0)) for (b, a), n in zip(pad_width, x.shape)); x = x[sl_]; pw = [(max(b, 0), max(a, 0)) for b, a in pad_width]
    return np.pad(x, pw, mode, constant_values=value) if mode == "constant" else np.pad(x, pw, mode)
@op
def meshgrid(xs, indexing="ij"): return tuple(np.meshgrid(*[np.atleast_1d(a) for a in xs], indexing=indexing))
@op
def sliding_window(x, axis, size, step):
    if x.ndim == 0: return x.reshape((1,)*(size > 0))[:size]
    y = np.lib.stride_tricks.sliding_window_view(x, size, axis); return y[tuple(slice(None, None, step) if i == axis % x.ndim else slice(None) for i in range(x.ndim))]
# ---- indexing.  `index` in getitem/setitem: list of int | slice | None | Ellipsis | integer array | bool array
@op
def getitem(x, index): return x[tuple(index)]
@op
def take_flat(x, index): return x.ravel()[index]
@op
def take(x, index, axis): return np.take(x, index, axis) if x.ndim else x.reshape(1)[index].reshape(())
@op
def take_along_axis(x, index, axis=None): return np.take_along_axis(x, index, axis) if axis is not None else np.take_along_axis(x.ravel(), index.ravel(), 0)
@op
def gather(x, axis, index):
    """out[i,j,..] = x[i, index[i,j,..], ..] on `axis`; index may be smaller than x on the other axes."""
    if x.ndim == 0: return x.reshape(1)[index]
    if index.ndim == 0: return x.reshape(-1)[index]
    if index.size == 0: return np.zeros(index.shape, x.dtype)
    x = x[tuple(slice(None) if d == axis % x.ndim else slice(0, index.shape[d]) for d in range(x.ndim))]; return np.take_along_axis(x, index, axis)
def _gidx(index, axis): g = list(np.indices(index.shape)); g[axis % index.ndim] = index; return tuple(g)
@op
def scatter_set(x, axis, index, src):
    """index has no duplicates along axis in these cases; src may be larger than index."""
    y = x.copy()
    if x.ndim == 0: return np.asarray(src.reshape(()) , x.dtype)
    if index.size: y[_gidx(index, axis)] = src[tuple(slice(0, n) for n in index.shape)]
    return y
@op
def scatter_add(x, axis, index, src):
    y = x.copy()
    if x.ndim == 0: return np.asarray(x+src.reshape(-1).sum() if index.size else x)
    if index.size: np.add.at(y, _gidx(index, axis), src[tuple(slice(0, n) for n in index.shape)])
    return y
@op
def index_add(x, axis, index, src, alpha=1):
    y = x.copy().reshape(x.shape or (1,)); np.add.at(np.moveaxis(y, axis, 0), index, alpha*np.moveaxis(src.reshape(src.shape or (1,)), axis, 0)); return y.reshape(x.shape)
@op
def setitem(x, index, src, accumulate=False):
    y = x.copy(); i = tuple(index)
    if accumulate: np.add.at(y, i, src)
    else: y[i] = src
    return y
# ---- neural-network style
def _pair(v, n=2): return list(v)*(n if len(v) == 1 else 1) if isinstance(v, (list, tuple)) else [v]*n
def _conv(x, w, b, stride, padding, dilation, groups, nd):
    ub = x.ndim == nd+1; x = x[None] if ub else x
    s, d = _pair(stride, nd), _pair(dilation, nd); k = w.shape[2:]
    if padding == "valid": pw = [(0, 0)]*nd
    elif padding == "same": pw = [((d[i]*(k[i]-1))//2, d[i]*(k[i]-1)-(d[i]*(k[i]-1))//2) for i in range(nd)]
    else: pw = [(p, p) for p in _pair(padding, nd)]
    x = np.pad(x, [(0, 0), (0, 0)]+pw)
    win = np.lib.stride_tricks.sliding_window_view(x, [d[i]*(k[i]-1)+1 for i in range(nd)], tuple(range(2, 2+nd)))
    win = win[(slice(None),)*2+tuple(slice(None, None, t) for t in s)+tuple(slice(None, None, t) for t in d)]
    N = x.shape[0]; G = groups; C = x.shape[1]//G; O = w.shape[0]//G; L = "ab"[:nd]; K = "uv"[:nd]
    y = np.einsum(f"ngc{L}{K},goc{K}->ngo{L}", win.reshape((N, G, C)+win.shape[2:]), w.reshape((G, O, C)+k)); y = y.reshape((N, G*O)+y.shape[3:])
    if b is not None: y = y+b.reshape((1, -1)+(1,)*nd)
    return y[0] if ub else y
@op
def conv1d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1): return _conv(x, w, b, stride, padding, dilation, groups, 1)
@op
def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1): return _conv(x, w, b, stride, padding, dilation, groups, 2)
@op
def conv_transpose2d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """w: (C_in, C_out/groups, kh, kw); the transpose of conv2d."""
    ub = x.ndim == 3; x = x[None] if ub else x; s, p, q, d = (_pair(v) for v in (stride, padding, output_padding, dilation)); N, C, H, W = x.shape; kh, kw = w.shape[2:]; G = groups; O = w.shape[1]
    full = np.zeros((N, G*O, (H-1)*s[0]+d[0]*(kh-1)+1+q[0], (W-1)*s[1]+d[1]*(kw-1)+1+q[1]), x.dtype)
    c = np.einsum("ngcab,gcouv->ngoabuv", x.reshape(N, G, C//G, H, W), w.reshape(G, C//G, O, kh, kw)).reshape(N, G*O, H, W, kh, kw)
    for u in range(kh):
        for v in range(kw): full[:, :, u*d[0]:u*d[0]+(H-1)*s[0]+1:s[0], v*d[1]:v*d[1]+(W-1)*s[1]+1:s[1]] += c[..., u, v]
    y = full[:, :, p[0]:full.shape[2]-p[0], p[1]:full.shape[3]-p[1]]
    if b is not None: y = y+b.reshape(1, -1, 1, 1)
    return y[0] if ub else y
def _poolwin(x, k, s, p, d, fill):
    x = np.pad(x, [(0, 0)]*(x.ndim-2)+[(p[0], p[0]), (p[1], p[1])], constant_values=fill)
    w = np.lib.stride_tricks.sliding_window_view(x, (d[0]*(k[0]-1)+1, d[1]*(k[1]-1)+1), (-2, -1)); return w[..., ::s[0], ::s[1], ::d[0], ::d[1]]
@op
def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1):
    k = _pair(kernel_size); return _poolwin(x, k, _pair(stride) if stride else k, _pair(padding), _pair(dilation), -np.inf).max((-2, -1))
@op
def avg_pool2d(x, kernel_size, stride=None, padding=0, count_include_pad=True, divisor_override=None):
    k = _pair(kernel_size); s = _pair(stride) if stride else k; p = _pair(padding); t = _poolwin(x, k, s, p, [1, 1], 0).sum((-2, -1))
    if divisor_override: return t/divisor_override
    return t/(k[0]*k[1]) if count_include_pad else t/_poolwin(np.ones_like(x), k, s, p, [1, 1], 0).sum((-2, -1))
@op
def adaptive_avg_pool2d(x, output_size):
    o = _pair(output_size); H, W = x.shape[-2:]; o = [o[0] or H, o[1] or W]; y = np.empty(x.shape[:-2]+tuple(o), x.dtype)
    for i in range(o[0]):
        for j in range(o[1]): y[..., i, j] = x[..., i*H//o[0]:-(-(i+1)*H//o[0]), j*W//o[1]:-(-(j+1)*W//o[1])].mean((-2, -1))
    return y
@op
def softmax(x, axis):
    if x.ndim == 0: return np.ones_like(x)
    e = np.exp(x-(x.max(axis, keepdims=True) if x.size else 0)); return e/e.sum(axis, keepdims=True)
@op
def log_softmax(x, axis):
    if x.ndim == 0: return np.zeros_like(x)
    return x-sc.logsumexp(x, axis, keepdims=True) if x.size else x
@op
def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    a = tuple(range(x.ndim-len(normalized_shape), x.ndim)); m = x.mean(a, keepdims=True); v = ((x-m)**2).mean(a, keepdims=True); y = (x-m)/np.sqrt(v+eps)
    y = y*weight if weight is not None else y; return y+bias if bias is not None else y
@op
def rms_norm(x, normalized_shape, weight=None, eps=None):
    a = tuple(range(x.ndim-len(normalized_shape), x.ndim)); y = x/np.sqrt((x*x).mean(a, keepdims=True)+(np.finfo(x.dtype).eps if eps is None else eps)); return y*weight if weight is not None else y
@op
def batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=False, eps=1e-5):
    r = lambda v: v.reshape((1, -1)+(1,)*(x.ndim-2)); a = (0,)+tuple(range(2, x.ndim))
    m, v = (x.mean(a), x.var(a)) if training else (running_mean, running_var); y = (x-r(m))/np.sqrt(r(v)+eps)
    y = y*r(weight) if weight is not None else y; return y+r(bias) if bias is not None else y
@op
def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    g = x.reshape(x.shape[0], num_groups, -1); m = g.mean(-1, keepdims=True); v = g.var(-1, keepdims=True); y = ((g-m)/np.sqrt(v+eps)).reshape(x.shape); r = lambda t: t.reshape((1, -1)+(1,)*(x.ndim-2))
    y = y*r(weight) if weight is not None else y; return y+r(bias) if bias is not None else y
@op
def linear(x, w, b=None): y = x @ w.T; return y+b if b is not None else y
def _rd(v, reduction): return {"none": lambda: v, "mean": lambda: v.mean(), "sum": lambda: v.sum()}[reduction]()
@op
def mse_loss(x, y, reduction="mean"): return _rd((x-y)**2, reduction)
@op
def huber_loss(x, y, reduction="mean", delta=1.0): d = abs(x-y); return _rd(np.where(d <= delta, .5*d*d, delta*(d-.5*delta)), reduction)
@op
def smooth_l1_loss(x, y, reduction="mean", beta=1.0): d = abs(x-y); return _rd(np.where(d < beta, .5*d*d/beta, d-.5*beta) if beta else d, reduction)
@op
def kl_div(x, y, reduction="mean", log_target=False):
    v = np.exp(y)*(y-x) if log_target else sc.xlogy(y, y)-y*x; return v.sum()/(x.shape[0] if x.ndim else 1) if reduction == "batchmean" else _rd(v, reduction)
@op
def bce_with_logits(x, y, weight=None, pos_weight=None, reduction="mean"):
    v = (1-y)*x+(1+((pos_weight if pos_weight is not None else 1)-1)*y)*np.logaddexp(-x, 0); return _rd(v*weight if weight is not None else v, reduction)
def _nll(lp, t, weight, reduction, ignore_index):
    ub = lp.ndim == 1
    if ub: lp = lp[None]; t = t.reshape(1)
    w = np.ones(lp.shape[1], lp.dtype) if weight is None else weight; ok = t != ignore_index; ts = np.where(ok, t, 0)
    v = -np.take_along_axis(lp, ts[:, None], 1)[:, 0]; wt = w[ts]*ok; v = v*wt
    if reduction == "none": return v[0] if ub else v
    return v.sum() if reduction == "sum" else v.sum()/wt.sum()
@op
def nll_loss(x, target, weight=None, reduction="mean", ignore_index=-100): return _nll(x, target, weight, reduction, ignore_index)
@op
def cross_entropy(x, target, weight=None, reduction="mean", ignore_index=-100): return _nll(log_softmax(x, 1 if x.ndim > 1 else 0), target, weight, reduction, ignore_index)
@op
def sdpa(q, k, v, mask=None, is_causal=False, scale=None):
    a = q @ np.swapaxes(k, -1, -2)*(scale if scale is not None else 1/math.sqrt(q.shape[-1]))
    if is_causal: mask = np.tril(np.ones(a.shape[-2:], bool))
    if mask is not None: a = np.where(mask, a, -np.inf) if mask.dtype == bool else a+mask
    return softmax(a, -1) @ v
@op
def normalize(x, p=2.0, axis=1, eps=1e-12):
    return x/np.maximum(vector_norm(x, p, axis, True), eps)
@op
def cosine_similarity(x, y, axis=1, eps=1e-8):
    n = lambda a: np.maximum(np.sqrt((a*a).sum(axis, keepdims=True)), eps)
    x, y = np.broadcast_arrays(*(np.atleast_1d(a) for a in (x, y))) if x.ndim else (x.reshape(1), y.reshape(1)); r = ((x/n(x))*(y/n(y))).sum(axis); return r
@op
def im2col(x, kernel_size, dilation=1, padding=0, stride=1):
    k, d, p, s = (_pair(v) for v in (kernel_size, dilation, padding, stride)); ub = x.ndim == 3; x = x[None] if ub else x
    w = _poolwin(x, k, s, p, d, 0); N, C, a, b = w.shape[:4]; y = w.transpose(0, 1, 4, 5, 2, 3).reshape(N, C*k[0]*k[1], a*b); return y[0] if ub else y
