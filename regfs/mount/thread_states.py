"""Keeps CPython's state of libfuse's threads from call to call.

libfuse calls from threads that it makes itself. For such a thread, ctypes has CPython make a thread state
at the start of every call and take it down at the end, which maps and unmaps memory each time: a fifth
of what `ls -l` costs for each entry. Here the first call of a thread takes one more reference
(PyGILState_Ensure), so its state stays.

When libfuse ends a thread, its state is lost, some 16 KB: no function of CPython's API frees the state of
another thread in every version. So there is a bound; beyond it calls cost what they did before.

Source: CPython's C API, "Thread State and the Global Interpreter Lock", "Non-Python created threads".
"""

from __future__ import annotations

import ctypes
import itertools
import threading

#: libfuse keeps ten idle threads, so only long bursts of more than ten requests at once use these up.
_MOST_KEPT = 1000

_kept = itertools.count(1)
_local = threading.local()


def keep_thread_state() -> None:
    """Keep the calling thread's state from now on. For every call from C: costs next to nothing."""
    if hasattr(_local, "known"):
        return
    _local.known = True
    if next(_kept) <= _MOST_KEPT:
        ctypes.pythonapi.PyGILState_Ensure()
