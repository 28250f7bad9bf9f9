"""What ended a run, in plain words, and what to do about it."""

import errno

from pixelcnn.data.datasets import DataError
from pixelcnn.storage import CheckpointError
from pixelcnn.training.engine import NotANumberError, TrainingError
from pixelcnn.training.runs import RunError


def explain(error: BaseException) -> str:
    """Tell in plain words what ended a run, and what to do."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"The disk is full ({text}). What was saved before is whole. Free some space, then "
            "resume."
        )
    if is_out_of_memory(error):
        return (
            "There is not enough memory for this. Start a new run with a smaller batch, fewer "
            f"features or fewer blocks, or close other programs and resume. ({text})"
        )
    if is_uncompilable(error):
        return (
            f"torch cannot compile the network here; start a new run without --compile. ({text})"
        )
    if isinstance(error, DataError):
        return f"{text} Then resume."
    if isinstance(error, NotANumberError):
        return (
            f"{text} The checkpoints before it are kept. Resuming would compute the same again: "
            "start a new run with a lower learning rate."
        )
    if isinstance(error, OSError | RunError | ValueError | TrainingError | CheckpointError):
        return text
    return f"{type(error).__name__}: {text}. The log below has the details."


def is_uncompilable(error: BaseException) -> bool:
    """Say whether torch failed to compile the network."""
    return type(error).__module__.startswith(("torch._inductor", "torch._dynamo"))


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether memory was asked for that is not there, on any device."""
    words = ("can't allocate memory", "out of memory", "not enough memory")
    runtime = isinstance(error, RuntimeError) and any(w in str(error).lower() for w in words)
    return runtime or isinstance(error, MemoryError)
