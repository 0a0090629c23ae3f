"""The report as a page: what stands in it, asked of a snapshot. How it looks is `regfs.page`'s.

`making` puts a page together from `places` (where the bytes are), `images` (tags, and what they name),
`rules` (what the usual rules would free) and `wrong` (findings, and what was not read).
"""
