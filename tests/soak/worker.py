"""A thread that works until it is told to end, and keeps what it failed of for whoever ends it."""

from __future__ import annotations

import abc
import threading

#: Seconds that a worker may take to notice that it is to end.
_PATIENCE = 180


class Worker(threading.Thread, abc.ABC):
    """Calls `work` once; that looks at `ending` now and then."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.ending = threading.Event()
        self._failure: BaseException | None = None

    @abc.abstractmethod
    def work(self) -> None:
        """Work until `ending` is set."""

    def run(self) -> None:
        try:
            self.work()
        except BaseException as failure:  # noqa: BLE001 - raised again by `end`
            self._failure = failure

    @property
    def failed(self) -> bool:
        return self._failure is not None

    def end(self) -> None:
        """Have it end. Raises what it failed of, if it did."""
        self.ending.set()
        self.join(_PATIENCE)
        assert not self.is_alive()
        if self._failure:
            raise self._failure
