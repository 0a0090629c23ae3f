"""Our own session with the kernel: the FUSE protocol over /dev/fuse, by inode. It needs no libfuse.

wire        structures in, structures out: pure
mounting    gets the descriptor: mount(2), or fusermount3
agreement   INIT: what kernel and mount agree on
crew        the threads: one leads, the next takes over where it is held up
requests    what is asked, answered from the tree: inodes (namings), listings, files
session     all of them put together
"""
