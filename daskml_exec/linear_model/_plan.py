"""Choose how to solve a problem, from its shape alone: never from the cluster."""

from dataclasses import dataclass, replace

from daskml_exec.executor import bytes_text

# Below so many floating-point operations, all rows' Hessian costs no more than the round that
# brings it, and each round brings one.
_FREE_FLOPS = 4e8
_LARGEST_HESSIAN = 6000
_LARGEST_HESSIAN_OF_SPARSE = 1000
# Rows whose inner products with each other are factorised, and bytes of them on the driver.
_LARGEST_SPAN, _LARGEST_SPAN_OF_SPARSE, _SPAN_BYTES = 6000, 1000, 400e6
# Singular normal equations are decomposed, which takes some thirty times as long as a factor.
_LARGEST_DECOMPOSED = 1000
# Rows in a sample per coordinate, and the share of all rows that a sample is at least.
_HESSIAN_ROWS, _HESSIAN_SHARE = 20, 1 / 16
_SET_ROWS, _SET_SHARE = 20_000, 1 / 8
_POOL_ROWS, _LEAST_POOL, _POOL_BYTES = 100, 2000, 8e6
# For Hessian-vector products this share of large data, up to so many bytes.
_POOLED_SHARE, _MOST_POOL_BYTES = 0.01, 64e6
# Without a start at the pool's optimum, as for few rows, nothing is gained by a sample.
_LEAST_POOLED_SHARE = 1 / 4
# What a matrix product does in a second, what is read from memory, and what a round costs.
_FLOPS, _BYTES, _ROUND_SECONDS = 5e10, 1e10, 0.012
# First-order rounds that a Hessian saves in hard cases.
_ROUNDS_SAVED = 200
_LEAST_PATIENCE = 5

HESSIAN, PRODUCTS, SPAN, GRAM, GRADIENTS, AVERAGING, WORKING_SET = (
    "hessian",
    "hessian-vector products",
    "span of the rows",
    "normal equations",
    "gradients",
    "averaging",
    "working set",
)


@dataclass(frozen=True)
class Shape:
    """What a plan is made from."""

    rows: int
    features: int
    outputs: int
    fit_intercept: bool
    row_bytes: float
    """Of one row of X, on average."""
    sparse: bool

    @property
    def coordinates(self) -> int:
        """Coefficients and intercepts, all outputs together."""
        return self.outputs * (self.features + self.fit_intercept)

    @property
    def largest_square(self) -> int:
        """Coordinates for which one matrix with a row and a column for each is worth while."""
        return _LARGEST_HESSIAN_OF_SPARSE if self.sparse else _LARGEST_HESSIAN

    @property
    def spanned(self) -> bool:
        """Whether rows are so few that a matrix with a row and a column for each is worth while."""
        largest = _LARGEST_SPAN_OF_SPARSE if self.sparse else _LARGEST_SPAN
        row = self.row_bytes if self.sparse else 8.0 * self.features
        return self.rows < self.features and self.rows <= largest and self.rows * row <= _SPAN_BYTES

    @property
    def square(self) -> str:
        """The size of that matrix in words."""
        p = self.coordinates
        return f"{p:,} x {p:,} numbers ({bytes_text(8 * p * p)})"


@dataclass(frozen=True)
class Plan:
    """A regime, and its samples as shares of all rows."""

    regime: str
    reason: str
    hessian_share: float = 0.0
    pool_share: float = 0.0
    every_round: bool = False
    """Whether each round brings a new Hessian."""
    patience: int = _LEAST_PATIENCE
    """Steps with one Hessian before a new one may be worth its time."""
    otherwise: "Plan | None" = None
    """For rows whose inner products say too little of some directions, in place of their span."""


def plan_for(solver: str, penalised: bool, shape: Shape, *, sparse: bool = False) -> Plan:
    """Return the plan of a solver: "auto" and "newton" choose a regime by shape.

    `sparse` says that the penalty has a share of L1.
    """
    if sparse:
        return l1_plan(shape)
    return _named(solver) or newton_plan(shape, penalised=penalised)


def least_squares_plan_for(solver: str, penalised: bool, shape: Shape) -> Plan:
    """Return the plan of a solver of a model with squared errors."""
    return _named(solver) or least_squares_plan(shape, penalised=penalised)


def _named(solver: str) -> Plan | None:
    if solver == "lbfgs":
        return asked(GRADIENTS)
    if solver == "averaging":
        return asked(AVERAGING)
    return None


def newton_plan(shape: Shape, *, penalised: bool) -> Plan:
    """Return the regime of solver "newton": a factorised Hessian, or what costs less."""
    by_gradients = Plan(GRADIENTS, f"{_fewer(shape)}: directions come from gradients alone")
    if penalised and shape.spanned:
        otherwise = _by_hessian(shape)
        sampled = otherwise.regime == PRODUCTS and not shape.sparse
        return _spanned(shape, by_gradients if sampled else otherwise)
    if shape.rows < shape.features and not shape.sparse:
        return by_gradients
    return _by_hessian(shape)


def l1_plan(shape: Shape, *, least_squares: bool = False) -> Plan:
    """Return the regime of solver "newton" where the penalty has a share of L1."""
    if least_squares and shape.coordinates <= shape.largest_square:
        return least_squares_plan(shape, penalised=True)
    plan = _by_hessian(shape)
    if plan.regime == HESSIAN and (plan.every_round or shape.rows >= shape.features):
        return plan
    n = max(1, shape.rows)
    share = min(1.0, max(_SET_SHARE, _SET_ROWS / n))
    return Plan(
        WORKING_SET,
        f"a Hessian of {shape.square} is too large, and is taken of columns that may be in force, "
        + ("from all rows" if share == 1.0 else f"from one row in {1 / share:.0f}"),
        hessian_share=share,
        pool_share=_products(shape, "").pool_share,
        patience=_LEAST_PATIENCE - 2,
    )


def _by_hessian(shape: Shape) -> Plan:
    n, p = max(1, shape.rows), shape.coordinates
    share = min(1.0, max(_HESSIAN_SHARE, _HESSIAN_ROWS * p / n))
    free = n * p**2 <= _FREE_FLOPS
    if free:
        share = 1.0
    seconds = share * n * p**2 / _FLOPS
    gradient_seconds = n * shape.row_bytes / _BYTES + _ROUND_SECONDS
    saved = _ROUNDS_SAVED * gradient_seconds
    largest, size = shape.largest_square, shape.square
    if p > largest:
        return _products(shape, f"a Hessian of {size} is larger than {largest:,} x {largest:,}")
    if seconds > saved:
        return _products(
            shape, f"a Hessian of {size} would cost more than the rounds that it saves"
        )
    wanted = max(_LEAST_POOL, _POOL_ROWS * (shape.features + 1))
    pool = _pool_share(shape, wanted, _POOL_BYTES)
    return Plan(
        HESSIAN,
        f"a Hessian of {size} fits on the driver, and is taken "
        + ("from all rows" if share == 1.0 else f"from one row in {1 / share:.0f}")
        + (", every round" if free else ", and again where progress is slow"),
        hessian_share=share,
        pool_share=pool if pool <= _LEAST_POOLED_SHARE else 0.0,
        every_round=free,
        patience=max(_LEAST_PATIENCE, round(seconds / gradient_seconds)),
    )


def _spanned(shape: Shape, otherwise: Plan) -> Plan:
    n = shape.rows
    return Plan(
        SPAN,
        f"{_fewer(shape)}: the driver solves with a matrix of {n:,} x {n:,} numbers "
        f"({bytes_text(8 * n * n)}) of their inner products",
        pool_share=1.0,
        otherwise=replace(
            otherwise,
            reason=f"{otherwise.reason}, as the inner products of the {n:,} rows are not precise "
            "enough beside the penalty",
        ),
    )


def _fewer(shape: Shape) -> str:
    return f"{shape.rows:,} rows are fewer than {shape.features:,} columns"


def _products(shape: Shape, reason: str) -> Plan:
    nbytes = min(_MOST_POOL_BYTES, _POOLED_SHARE * shape.rows * shape.row_bytes)
    share = _pool_share(shape, shape.rows, max(_POOL_BYTES, nbytes))
    return Plan(
        PRODUCTS,
        f"{reason}: the driver solves with "
        + ("all rows" if share == 1.0 else f"a sample of one row in {1 / share:.0f}"),
        pool_share=share,
    )


def least_squares_plan(shape: Shape, *, penalised: bool) -> Plan:
    """Return the regime of a linear model with squared errors."""
    p, largest, size = shape.coordinates, shape.largest_square, shape.square
    if not penalised and shape.rows < p and p > _LARGEST_DECOMPOSED:
        reason = f"{shape.rows:,} rows cannot determine {p:,} coefficients"
    elif p > largest:
        reason = f"normal equations of {size} are larger than {largest:,} x {largest:,}"
    else:
        return Plan(GRAM, f"the normal equations of {size} fit on the driver, and take one pass")
    by_gradients = Plan(GRADIENTS, f"{reason}: conjugate directions, one gradient a round")
    return _spanned(shape, by_gradients) if penalised and shape.spanned else by_gradients


def feature_block_plan(solver: str, shape: Shape, n_blocks: int, *, least_squares: bool) -> Plan:
    """Return the plan of a fit whose features are cut into blocks: all need gradients alone."""
    if solver == "lbfgs":
        return asked(GRADIENTS)
    if least_squares and shape.rows < shape.features:
        # A sample's directions would have a part of what the rows leave open.
        rows, columns = f"{shape.rows:,} rows", f"{shape.features:,} coefficients"
        return Plan(GRADIENTS, f"{rows} cannot determine {columns}, and gradients leave them be")
    reason = f"a Hessian of {shape.square} would need the {n_blocks} feature blocks side by side"
    return _products(shape, reason)


def asked(regime: str) -> Plan:
    """Return the plan of a solver that was asked for by name, whatever the shape."""
    return Plan(regime, "the solver was named")


def _pool_share(shape: Shape, rows: float, nbytes: float) -> float:
    """Return the share of rows to pool: as many as wanted, within the bytes allowed."""
    n = max(1, shape.rows)
    return min(1.0, max(1.0, min(rows, nbytes / max(1.0, shape.row_bytes))) / n)
