"""What regfs tells of a store: tables, the same in `@reports/` and in `regfs report`.

`lists`, `summary`: the reports; `explain`, `reclaim`, `check`, `difference`: answers to one question each.
They take a snapshot of the index and turn its answers into tables and words; `table` gives them form.
`contents` has the index keep what only the blobs tell, before a report asks for it.
"""

from typing import TYPE_CHECKING

from regfs.later import door

if TYPE_CHECKING:
    from regfs.graph.reports.catalogue import Reports
else:
    __getattr__ = door(__name__, {"Reports": "catalogue"})

__all__ = ["Reports"]
