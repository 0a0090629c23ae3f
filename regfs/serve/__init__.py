"""The registry's API over HTTP, read-only, straight from a store: what `regfs serve` answers.

`application` is a WSGI application and knows nothing of its server; `api` says what is answered,
`server` runs it by gunicorn. An extra: nothing else needs gunicorn or bcrypt. Safe for many threads.

Source: OCI distribution-spec 1.1, and what clients were seen to ask.
"""
