"""The mount: the only part that knows FUSE and errno.

`operations` answers what the kernel asks, over the tree; `dispatch` is the thin layer of ctypes between it
and libfuse; `session` runs both until the file system is unmounted. This package itself imports none of
them, so that options and mountpoints can be checked on a machine without libfuse.
"""
