"""The scan: what must be known of the text before the arrays can be described.

The format asks for ascending indices on a line, and scikit-learn's parser insists. So the first
and the last index of every line are enough to find the smallest and the largest, which makes
the scan many times cheaper than parsing.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass

from daskml_exec.datasets._byte_ranges import ByteRange

# No index is as large as the first, which the parser cannot hold, or as small as the second.
_TOO_LARGE = sys.maxsize
_NONE_YET = -1


@dataclass(frozen=True)
class Scan:
    """What the scan found in one byte range.

    `lines` counts every line of the text, `rows` those that hold a sample. `smallest` and
    `largest` are None where no index was found or looked for.
    """

    lines: int
    rows: int
    smallest: int | None
    largest: int | None


def scan_range(
    byte_range: ByteRange, *, find_smallest: bool, find_largest: bool, multilabel: bool
) -> Scan:
    """Read and scan one byte range."""
    return scan_text(
        byte_range.read(),
        find_smallest=find_smallest,
        find_largest=find_largest,
        multilabel=multilabel,
    )


def scan_text(data: bytes, *, find_smallest: bool, find_largest: bool, multilabel: bool) -> Scan:
    """Count the lines and rows of `data`, and find its extreme indices if asked to."""
    if not (find_smallest or find_largest):
        return _count(data)
    lines = rows = 0
    smallest, largest = _TOO_LARGE, _NONE_YET
    has_comments = b"#" in data
    for line in io.BytesIO(data):
        lines += 1
        text = line.partition(b"#")[0] if has_comments else line
        # An index is what stands between a space and a colon. Where it is not (query ids, tabs,
        # rows without features, blank lines) no integer can be read, and tokens decide.
        # Repetitive on purpose: calling a function here would make the scan a tenth slower.
        try:
            if find_smallest:
                colon = text.index(b":")
                index = int(text[text.rfind(b" ", 0, colon) + 1 : colon])
                if index < smallest:
                    smallest = index
            if find_largest:
                colon = text.rindex(b":")
                index = int(text[text.rfind(b" ", 0, colon) + 1 : colon])
                if largest < index < _TOO_LARGE:
                    largest = index
            rows += 1
        except ValueError:
            tokens = text.split()
            rows += bool(tokens)
            indices = _first_and_last(tokens, multilabel)
            if indices:
                smallest = min(smallest, indices[0])
                largest = max(largest, indices[1])
    return Scan(
        lines=lines,
        rows=rows,
        smallest=smallest if find_smallest and smallest != _TOO_LARGE else None,
        largest=largest if find_largest and largest != _NONE_YET else None,
    )


def _count(data: bytes) -> Scan:
    lines = rows = 0
    has_comments = b"#" in data
    for line in io.BytesIO(data):
        lines += 1
        text = line.partition(b"#")[0] if has_comments else line
        rows += not text.isspace() and text != b""
    return Scan(lines, rows, None, None)


def _first_and_last(tokens: list[bytes], multilabel: bool) -> tuple[int, int] | None:
    has_label = not (multilabel and tokens and b":" in tokens[0])
    features = tokens[1:] if has_label else tokens
    if features and features[0].startswith(b"qid"):
        features = features[1:]
    if not features:
        return None
    try:
        first, last = (int(features[i].partition(b":")[0]) for i in (0, -1))
    except ValueError:
        # The parser refuses such a line, and can say where it is; the scan goes on.
        return None
    return (first, last) if last < _TOO_LARGE else None
