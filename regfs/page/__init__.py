"""The report as one page of HTML: what stands in it, and how it looks. Knows no store and no index.

`document` are the values of a page, `units` its words for bytes; `rendering` makes HTML of it with Jinja2.
`template/` has the page itself, its style and its scripts, which are put into it; `vendor/` other people's
code, with its licence.
The page asks nobody for anything: its Content-Security-Policy allows its own scripts alone, by their hashes.

Loaded only when a page is made: Jinja2 takes a while.
"""
