"""The `@` directories at the root: what no tag shows. They resolve always, and are listed if asked for.

    @blobs      one blob by its digest: data, info.json, and who holds it
    @untagged   images that no tag names
    @orphans    blobs that nothing leads to
    @unknown    blobs that something may need which was not read
    @uploads    unfinished pushes
    @history    what each tag has named
    @broken     what is wrong with an image, in words
    @reports    the reports, as files

What they show by the reference graph comes from its index, which is built when one of them is first looked
into.
"""

from typing import TYPE_CHECKING

from regfs.later import door

if TYPE_CHECKING:
    from regfs.tree.views.shown import views_of
else:
    __getattr__ = door(__name__, {"views_of": "shown"})

__all__ = ["views_of"]
