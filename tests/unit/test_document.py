"""JSON that is decoded by many threads, none of which was the first."""

import subprocess
import sys

import pytest

#: Each thread decodes as soon as all are there; Python changes between them all the time.
SCRIPT = """
import json, sys, threading
from regfs.layers.messages import decode_job, decode_reply
from regfs.oci import ImageConfig, parse_manifest
from regfs.oci.kinds import media_type_of

THREADS = 12
digest = "sha256:" + 64 * "0"
blob = '{"mediaType": "a/b", "digest": "%s", "size": 3, "platform": {"os": "linux"}}' % digest
manifest = '{"schemaVersion": 2, "config": %s, "layers": [%s, %s]}' % (blob, blob, blob)
config = '{"rootfs": {"diff_ids": ["%s"]}, "history": [{"created_by": "x"}]}' % digest
layers = '"fsLayers": [{"blobSum": "%s"}], "history": [{"v1Compatibility": "{}"}]' % digest
schema1 = '{"schemaVersion": 1, %s}' % layers
together = threading.Barrier(THREADS)
failed = []

def decode():
    together.wait()
    try:
        assert len(parse_manifest(manifest.encode()).layers) == 2
        assert len(ImageConfig.parse(config.encode()).history) == 1
        assert len(parse_manifest(schema1.encode()).layers) == 1
        assert media_type_of(manifest.encode())
        assert decode_reply(b'{"type": "done", "peak": 1}').peak == 1
        job = {"digest": {"algorithm": "sha256", "hex": "0"}, "size": 3, "path": "x"}
        assert decode_job(json.dumps(job).encode()).size == 3
    except BaseException as error:
        failed.append(error)
        raise

sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=decode) for _ in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(bool(failed))
"""


@pytest.mark.parametrize("time", range(3))
def test_many_threads_may_be_the_first_to_decode(time: int) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
