"""``python -m peers [CASE ...]``: run the cases and print their table."""

import argparse
from collections.abc import Callable

from peers import linear_cases
from peers.memory import memory
from peers.network import network
from peers.options import Options
from peers.rounds import rounds
from peers.table import Row, render

CASES: dict[str, Callable[[Options], tuple[list[Row], list[str]]]] = {
    "dense": linear_cases.dense,
    "multinomial": linear_cases.multinomial,
    "sparse": linear_cases.sparse,
    "wide": linear_cases.wide,
    "small": linear_cases.small,
    "float32": linear_cases.float32,
    "memory": memory,
    "ridge": linear_cases.ridge,
    "linear": linear_cases.linear,
    "poisson": linear_cases.poisson,
    "rounds": rounds,
    "network": network,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m peers", description=__doc__)
    parser.add_argument("cases", metavar="CASE", nargs="*", help=f"of {', '.join(CASES)}; all")
    parser.add_argument("--scale", choices=["full", "tiny"], default="full")
    parser.add_argument("--pairs", type=int, default=3, help="fits of each side; 3")
    parser.add_argument(
        "--patience",
        type=float,
        default=100.0,
        help="a fit of more seconds is timed once, and no tighter setting is tried; 100",
    )
    given = parser.parse_args(arguments)
    if unknown := set(given.cases) - set(CASES):
        parser.error(f"CASE {', '.join(sorted(unknown))}; allowed are {', '.join(CASES)}")
    options = Options(given.scale == "tiny", given.pairs, given.patience)
    rows: list[Row] = []
    remarks: list[str] = []
    for case in given.cases or CASES:
        measured, missing = CASES[case](options)
        rows += measured
        remarks += missing
    print(render(rows))
    for remark in remarks:
        print(remark)


if __name__ == "__main__":
    main()
