import pytest

from regfs.oci.media_types import suffix


@pytest.mark.parametrize(
    ("media_type", "wanted"),
    [
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", ".tar.gz"),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", ".tar.gz"),
        ("application/vnd.docker.image.rootfs.diff.tar", ".tar"),
        ("application/vnd.docker.image.rootfs.diff.tar.zstd", ".tar.zst"),
        ("application/vnd.oci.image.layer.v1.tar", ".tar"),
        ("application/vnd.oci.image.layer.v1.tar+gzip", ".tar.gz"),
        ("application/vnd.oci.image.layer.v1.tar+zstd", ".tar.zst"),
        ("application/vnd.oci.image.layer.v1.tar+xz", ".tar.xz"),
        ("application/vnd.oci.image.layer.v1.tar+bzip2", ".tar.bz2"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", ".tar"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", ".tar.gz"),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", ".bin"),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", ".tar.gz"),
        ("application/vnd.cncf.helm.chart.provenance.v1.prov", ".bin"),
        ("application/vnd.in-toto+json", ".json"),
        ("application/vnd.dev.cosign.simplesigning.v1+json", ".json"),
        ("application/spdx+json", ".json"),
        ("application/json", ".json"),
        ("application/json; charset=utf-8", ".json"),
        ("application/vnd.oci.empty.v1+json", ".json"),
        ("Application/VND.OCI.Image.Layer.v1.Tar+GZIP", ".tar.gz"),
        ("application/vnd.oci.image.layer.v1.tar+gzip ; x=y", ".tar.gz"),
        ("application/x-tar", ".tar"),
        ("application/tar", ".tar"),
        ("application/tar+gzip", ".tar.gz"),
        ("application/vnd.wasm.content.layer.v1+wasm", ".bin"),
        ("application/octet-stream", ".bin"),
        ("text/plain", ".bin"),
        ("", ".bin"),
        ("../../etc/passwd", ".bin"),
    ],
)
def test_a_media_type_tells_the_suffix(media_type: str, wanted: str) -> None:
    assert suffix(media_type) == wanted
