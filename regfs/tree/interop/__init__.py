"""Images as other tools read them: an OCI layout, one archive, skopeo's `dir:`; and names without a colon.

    <image>/oci/         the image as an OCI image layout
    <image>/image.tar    that and `docker save`'s form in one file
    <image>/<hex>        its blobs under the names of skopeo's `dir:` transport
    <repository>/.oci/   a layout of all its tags

All of them resolve and are in no listing. `image` says what belongs to an image, `documents` what the layouts
say of it, `layout` and `archive` are the nodes, `names` are the names.
"""

from typing import TYPE_CHECKING

from regfs.later import door

if TYPE_CHECKING:
    from regfs.tree.interop.archive import Archive, ArchiveFile
    from regfs.tree.interop.children import child_of_image
    from regfs.tree.interop.image import NamedImage, tagged_images
    from regfs.tree.interop.layout import LayoutDirectory
else:
    __getattr__ = door(
        __name__,
        {
            "Archive": "archive",
            "ArchiveFile": "archive",
            "LayoutDirectory": "layout",
            "NamedImage": "image",
            "child_of_image": "children",
            "tagged_images": "image",
        },
    )

__all__ = [
    "Archive",
    "ArchiveFile",
    "LayoutDirectory",
    "NamedImage",
    "child_of_image",
    "tagged_images",
]
