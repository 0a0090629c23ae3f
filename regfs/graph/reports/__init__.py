"""What regfs tells of a store: tables, the same in `@reports/` and in `regfs report`.

`lists`, `summary`: the reports; `explain`, `reclaim`, `check`, `difference`: answers to one question each.
`table` gives them form; `weights` and `contents` fill in what is costly, when it is first asked for.
"""
