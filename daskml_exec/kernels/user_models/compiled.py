"""Models of users one after another, in loops that Numba compiles.

Numba is optional: `models` imports this module where it is installed. All functions that call one
another are in one file, as the cache on disk looks at no other.

Matrices are worked on in tiles of four rows by four columns, which read each number a quarter as
often, and keep sums in registers. So they are padded to a multiple of four, by whatever comes
handy: what is behind their size is not looked at.
"""

import numba
import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.user_models.newton import ROUNDING, Limits

# Sums may be reordered, for vector registers; what is not finite must stay so.
_compiled = numba.njit(
    fastmath={"reassoc", "contract", "nsz"}, error_model="numpy", nogil=True, cache=True
)


@_compiled
def fit_users(
    indptr: Array,
    items: Array,
    y: Array,
    rows: Array,
    starts: Array,
    columns: Array,
    values: Array,
    n_features: int,
    alpha: float,
    logistic: bool,
    intercept: bool,
    limits: Limits,
    dual: Array,
    intercepts: Array,
) -> int:
    """Write the models of users; return how many did not converge.

    Features are in `rows`, or where that has none, in a CSR matrix of `starts`, `columns` and
    `values`.
    """
    heads, missed = np.full(n_features if len(rows) == 0 else 0, -1), 0
    for user in range(len(indptr) - 1):
        begin, end = indptr[user], indptr[user + 1]
        some, targets, a = items[begin:end], y[begin:end], dual[begin:end]
        n = len(some)
        if n == 0:
            intercepts[user] = np.nan
            continue
        positive = _sum(targets)
        if logistic and (positive == 0.0 or positive == n):
            intercepts[user] = np.inf if positive > 0.0 else -np.inf
            continue
        primal = n > n_features
        if primal:
            M = _features_by_columns(some, rows, starts, columns, values, n_features)
            means = _center_rows(M) if intercept else np.zeros(len(M))
        else:
            M = np.zeros((n + -n % 4, n + -n % 4))
            if len(rows):
                _products_of_rows(rows, _padded(some), n, M)
            else:
                _add_products_of_sparse_rows(some, starts, columns, values, heads, M)
            means = _center_kernel(M, n) if intercept else np.zeros(n)
        b, found = _newton(primal, M, n_features, targets, alpha, logistic, intercept, limits, a)
        missed += not found
        if primal:
            for j in range(n_features):
                b -= means[j] * _dot(M[j], a)
        else:
            b -= _dot(means, a)
        intercepts[user] = b
    return missed


# Whole-array expressions would take Numba seconds to compile.
@_compiled
def _sum(x: Array) -> float:
    total = 0.0
    for i in range(len(x)):
        total += x[i]
    return total


@_compiled
def _dot(x: Array, y: Array) -> float:
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@_compiled
def _padded(numbers: Array) -> Array:
    """Return numbers with the first of them behind the last, up to a multiple of four."""
    n = len(numbers)
    made = np.empty(n + -n % 4, np.int64)
    for i in range(len(made)):
        made[i] = numbers[i if i < n else 0]
    return made


@_compiled
def _features_by_columns(
    some: Array, rows: Array, starts: Array, columns: Array, values: Array, d: int
) -> Array:
    M = np.zeros((d + -d % 4, len(some)))
    for i in range(len(some)):
        item = some[i]
        if len(rows):
            for j in range(d):
                M[j, i] = rows[item, j]
        else:
            for place in range(starts[item], starts[item + 1]):
                M[columns[place], i] = values[place]
    return M


@_compiled
def _center_rows(M: Array) -> Array:
    means = np.empty(len(M))
    for j in range(len(M)):
        row = M[j]
        mean = _sum(row) / len(row)
        for i in range(len(row)):
            row[i] -= mean
        means[j] = mean
    return means


@_compiled
def _center_kernel(K: Array, n: int) -> Array:
    """Center the features of which these are products; return their products with the centre."""
    means = np.empty(n)
    for i in range(n):
        means[i] = _sum(K[i, :n]) / n
    mean = _sum(means) / n
    for i in range(n):
        for j in range(n):
            K[i, j] += mean - means[i] - means[j]
    return means


@_compiled
def _products_of_rows(R: Array, which: Array, n: int, G: Array) -> None:
    """Write to G the products of rows with one another."""
    length = R.shape[1]
    for i in range(0, n, 4):
        r0, r1, r2, r3 = R[which[i]], R[which[i + 1]], R[which[i + 2]], R[which[i + 3]]
        for j in range(0, i + 1, 4):
            c0, c1, c2, c3 = R[which[j]], R[which[j + 1]], R[which[j + 2]], R[which[j + 3]]
            s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
            s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
            for k in range(length):
                a0, a1, a2, a3 = r0[k], r1[k], r2[k], r3[k]
                b0, b1, b2, b3 = c0[k], c1[k], c2[k], c3[k]
                s00, s01, s02, s03 = s00 + a0 * b0, s01 + a0 * b1, s02 + a0 * b2, s03 + a0 * b3
                s10, s11, s12, s13 = s10 + a1 * b0, s11 + a1 * b1, s12 + a1 * b2, s13 + a1 * b3
                s20, s21, s22, s23 = s20 + a2 * b0, s21 + a2 * b1, s22 + a2 * b2, s23 + a2 * b3
                s30, s31, s32, s33 = s30 + a3 * b0, s31 + a3 * b1, s32 + a3 * b2, s33 + a3 * b3
            _keep(G, i, j, s00, s01, s02, s03)
            _keep(G, i + 1, j, s10, s11, s12, s13)
            _keep(G, i + 2, j, s20, s21, s22, s23)
            _keep(G, i + 3, j, s30, s31, s32, s33)
    _mirror(G, n)


@_compiled
def _keep(G: Array, i: int, j: int, s0: float, s1: float, s2: float, s3: float) -> None:
    G[i, j], G[i, j + 1], G[i, j + 2], G[i, j + 3] = s0, s1, s2, s3


@_compiled
def _mirror(G: Array, n: int) -> None:
    for i in range(n):
        for j in range(i):
            G[j, i] = G[i, j]


@_compiled
def _add_products_of_sparse_rows(
    some: Array, starts: Array, columns: Array, values: Array, heads: Array, K: Array
) -> None:
    """Add to K the products of sparse rows with one another.

    Each entry meets those that came before in its column, which are chained: rows of texts have few
    words in common, so that these are far fewer than entries times rows. `heads` has -1 for each
    column, before and after.
    """
    total = 0
    for item in some:
        total += starts[item + 1] - starts[item]
    before, row_of, value_of = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total)
    entry = 0
    for i in range(len(some)):
        row = K[i]
        for place in range(starts[some[i]], starts[some[i] + 1]):
            column, value = columns[place], values[place]
            before[entry], row_of[entry], value_of[entry] = heads[column], i, value
            heads[column] = entry
            other = entry
            while other >= 0:
                row[row_of[other]] += value * value_of[other]
                other = before[other]
            entry += 1
    for item in some:
        for place in range(starts[item], starts[item + 1]):
            heads[columns[place]] = -1
    _mirror(K, len(some))


@_compiled
def _newton(
    primal: bool,
    M: Array,
    d: int,
    y: Array,
    alpha: float,
    logistic: bool,
    intercept: bool,
    limits: Limits,
    a: Array,
) -> tuple[float, bool]:
    """Write the dual coefficients; return the intercept, and whether it has converged."""
    n = len(y)
    positive = _sum(y)
    b = np.log(positive / (n - positive)) if logistic and intercept else 0.0
    z, z_next, a_next, D, u = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        a[i], z[i], D[i], u[i] = 0.0, b, 1.0, y[i]
    for _ in range(limits.most_steps):
        if logistic:
            for i in range(n):
                probability = 1.0 / (1.0 + np.exp(-z[i]))
                D[i] = max(probability * (1.0 - probability), limits.least_curvature)
                u[i] = z[i] + (y[i] - probability) / D[i]
        if primal:
            b_next = _primal_step(M, d, D, u, alpha, intercept, a_next, z_next)
        else:
            b_next = _dual_step(M, D, u, alpha, intercept, a_next, z_next)
        length, share = 0.0, 1.0
        for i in range(n):
            length = max(length, abs(z_next[i] - z[i]))
        if logistic and not length <= limits.safe_step:
            share = _share(z, b, a, y, alpha, z_next, b_next, a_next, length, limits)
        for i in range(n):
            a[i] += share * (a_next[i] - a[i])
            z[i] += share * (z_next[i] - z[i])
        b += share * (b_next - b)
        if not logistic or length <= limits.small_step:
            return b, True
    return b, False


@_compiled
def _share(
    z: Array,
    b: float,
    a: Array,
    y: Array,
    alpha: float,
    z_next: Array,
    b_next: float,
    a_next: Array,
    length: float,
    limits: Limits,
) -> float:
    """Return how many times a step is to be taken: about where the objective is least."""
    linear = quadratic = 0.0  # of the slope of the penalty
    for i in range(len(z)):
        change = z_next[i] - z[i] - (b_next - b)
        linear += alpha * a[i] * change
        quadratic += alpha * (a_next[i] - a[i]) * change
    low, high, share = 0.0, max(2.0, limits.longest_step / length), 1.0
    for _ in range(limits.most_steps):
        slope, curvature = linear + share * quadratic, quadratic
        for i in range(len(z)):
            change = z_next[i] - z[i]
            probability = 1.0 / (1.0 + np.exp(-z[i] - share * change))
            slope += (probability - y[i]) * change
            curvature += probability * (1.0 - probability) * change * change
        if slope < 0.0:
            low = share
        else:
            high = share
        better = share - slope / curvature
        if not low < better < high:
            better = 0.5 * (low + high)
        if abs(better - share) * length <= limits.roughly:
            return better
        share = better
    return share


@_compiled
def _dual_step(
    K: Array, D: Array, u: Array, alpha: float, intercept: bool, a: Array, z: Array
) -> float:
    """Fit u with weights D: write dual coefficients and predictions, return the intercept."""
    n, size = len(u), len(K)
    B, root, ones = np.zeros((size, size)), np.sqrt(D), np.empty(n)
    for i in range(n):
        row, kernel, scale = B[i], K[i], root[i]
        for j in range(i + 1):
            row[j] = scale * kernel[j] * root[j]
        a[i], ones[i] = scale * u[i], scale
    _factor(B, _penalized(B, n, alpha))
    _solve(B, a, ones)
    b = 0.0
    if intercept:
        b = _dot(root, a) / _dot(root, ones)
    for i in range(n):
        a[i] = root[i] * (a[i] - b * ones[i])
    for i in range(n):
        z[i] = b + _dot(K[i, :n], a)
    return b


@_compiled
def _primal_step(
    T: Array, d: int, D: Array, u: Array, alpha: float, intercept: bool, a: Array, z: Array
) -> float:
    """Do what `_dual_step` does, from features by columns."""
    n, size, weight = len(u), len(T), _sum(D)
    scaled, root, means, w = np.empty((size, n)), np.sqrt(D), np.zeros(size), np.empty(size)
    for j in range(size):
        row, weighted, total = T[j], scaled[j], 0.0
        if intercept:
            means[j] = _dot(D, row) / weight
        for i in range(n):
            weighted[i] = root[i] * (row[i] - means[j])
            total += weighted[i] * (root[i] * u[i])
        w[j] = total
    B = np.zeros((size, size))
    _products_of_rows(scaled, np.arange(size), size, B)
    least = _penalized(B, size, alpha)
    _factor(B, least)
    _solve(B, w, np.zeros(size))
    b = (_dot(D, u) / weight if intercept else 0.0) - _dot(means, w)
    for i in range(n):
        z[i] = b
    for j in range(d):
        row, value = T[j], w[j]
        for i in range(n):
            z[i] += value * row[i]
    for i in range(n):
        a[i] = D[i] * (u[i] - z[i]) / least
    return b


@_compiled
def _penalized(B: Array, n: int, alpha: float) -> float:
    """Add the penalty to the diagonal; return it: no less than what roundings make of B."""
    least = alpha
    for i in range(n):
        least = max(least, ROUNDING * B[i, i])
    for i in range(n):
        B[i, i] += least
    return least


@_compiled
def _factor(B: Array, least: float) -> None:
    """Replace the lower triangle of B by L, where B = L L'; no pivot is below `least`."""
    for i in range(0, len(B), 4):
        r0, r1, r2, r3 = B[i], B[i + 1], B[i + 2], B[i + 3]
        for j in range(0, i + 1, 4):
            c0, c1, c2, c3 = B[j], B[j + 1], B[j + 2], B[j + 3]
            s00, s01, s02, s03 = r0[j], r0[j + 1], r0[j + 2], r0[j + 3]
            s10, s11, s12, s13 = r1[j], r1[j + 1], r1[j + 2], r1[j + 3]
            s20, s21, s22, s23 = r2[j], r2[j + 1], r2[j + 2], r2[j + 3]
            s30, s31, s32, s33 = r3[j], r3[j + 1], r3[j + 2], r3[j + 3]
            for k in range(j):
                a0, a1, a2, a3 = r0[k], r1[k], r2[k], r3[k]
                b0, b1, b2, b3 = c0[k], c1[k], c2[k], c3[k]
                s00, s01, s02, s03 = s00 - a0 * b0, s01 - a0 * b1, s02 - a0 * b2, s03 - a0 * b3
                s10, s11, s12, s13 = s10 - a1 * b0, s11 - a1 * b1, s12 - a1 * b2, s13 - a1 * b3
                s20, s21, s22, s23 = s20 - a2 * b0, s21 - a2 * b1, s22 - a2 * b2, s23 - a2 * b3
                s30, s31, s32, s33 = s30 - a3 * b0, s31 - a3 * b1, s32 - a3 * b2, s33 - a3 * b3
            if j < i:
                _keep(B, i, j, *_divided(s00, s01, s02, s03, c0, c1, c2, c3, j))
                _keep(B, i + 1, j, *_divided(s10, s11, s12, s13, c0, c1, c2, c3, j))
                _keep(B, i + 2, j, *_divided(s20, s21, s22, s23, c0, c1, c2, c3, j))
                _keep(B, i + 3, j, *_divided(s30, s31, s32, s33, c0, c1, c2, c3, j))
            else:
                s00 = np.sqrt(max(s00, least))
                s10, s20, s30 = s10 / s00, s20 / s00, s30 / s00
                s11 = np.sqrt(max(s11 - s10 * s10, least))
                s21, s31 = (s21 - s20 * s10) / s11, (s31 - s30 * s10) / s11
                s22 = np.sqrt(max(s22 - s20 * s20 - s21 * s21, least))
                s32 = (s32 - s30 * s20 - s31 * s21) / s22
                s33 = np.sqrt(max(s33 - s30 * s30 - s31 * s31 - s32 * s32, least))
                _keep(B, i, j, s00, 0.0, 0.0, 0.0)
                _keep(B, i + 1, j, s10, s11, 0.0, 0.0)
                _keep(B, i + 2, j, s20, s21, s22, 0.0)
                _keep(B, i + 3, j, s30, s31, s32, s33)


@_compiled
def _divided(
    s0: float,
    s1: float,
    s2: float,
    s3: float,
    c0: Array,
    c1: Array,
    c2: Array,
    c3: Array,
    j: int,
) -> tuple[float, float, float, float]:
    """Return a row of a tile times the inverse of the transposed tile on the diagonal."""
    s0 = s0 / c0[j]
    s1 = (s1 - s0 * c1[j]) / c1[j + 1]
    s2 = (s2 - s0 * c2[j] - s1 * c2[j + 1]) / c2[j + 2]
    s3 = (s3 - s0 * c3[j] - s1 * c3[j + 1] - s2 * c3[j + 2]) / c3[j + 3]
    return s0, s1, s2, s3


@_compiled
def _solve(L: Array, x: Array, y: Array) -> None:
    """Replace x and y by the solutions of L L' x = x and L L' y = y."""
    n = len(x)
    for k in range(n):
        row, of_x, of_y = L[k], 0.0, 0.0
        for j in range(k):
            of_x += row[j] * x[j]
            of_y += row[j] * y[j]
        x[k] = (x[k] - of_x) / row[k]
        y[k] = (y[k] - of_y) / row[k]
    for k in range(n - 1, -1, -1):
        row = L[k]
        of_x, of_y = x[k] / row[k], y[k] / row[k]
        x[k], y[k] = of_x, of_y
        for j in range(k):
            x[j] -= of_x * row[j]
            y[j] -= of_y * row[j]
