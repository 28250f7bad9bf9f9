"""How many threads numpy's matrix products run in."""

import functools

from threadpoolctl import OpenBLASController, ThreadpoolController


def use_blas_threads(count: int) -> None:
    """Let numpy's matrix products run in so many threads; costs a microsecond where they do.

    For the products of one pixel more threads only wait; the row of several images uses all. The
    number is one for the whole process, and nothing but the steppers multiplies matrices in numpy.
    """
    for library in _blas().lib_controllers:
        if library.num_threads != count:
            OpenBLASController.clear_controlling_thread(force=True)  # perhaps another visitor's
            library.set_num_threads(count)


@functools.cache
def _blas() -> ThreadpoolController:
    # Looking for the libraries takes a while, using them does not.
    return ThreadpoolController().select(user_api="blas")
