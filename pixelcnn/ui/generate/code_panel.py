"""The code that the player shows beside the picture: the loop of the naive sampler, as text."""

import ast
import inspect
import textwrap
from functools import cache

from pixelcnn.sampling.naive import iter_naive


@cache
def sampling_loop() -> dict[str, list]:
    """Return the loop of `naive.py` as text, and which line does what.

    Read from the source, so that the page shows the code that runs in the tests.
    """
    source = textwrap.dedent(inspect.getsource(iter_naive))
    function = ast.parse(source).body[0]
    loop = next(node for node in function.body if isinstance(node, ast.For))
    wanted = {
        "row": "for row ",
        "col": "for col ",
        "forward": "everything = ",
        "logits": "logits = ",
        "rule": "probability = ",
        "noise": "u = ",
        "draw": "level = ",
        "store": "levels[",
    }
    lines = source.splitlines()[loop.lineno - 1 : loop.end_lineno]
    steps = []
    for what, beginning in wanted.items():
        (index,) = [i for i, line in enumerate(lines) if line.strip().startswith(beginning)]
        steps.append({"line": index, "what": what})
    return {"lines": textwrap.dedent("\n".join(lines)).splitlines(), "steps": steps}
