import pytest

from regfs.oci import Digest
from regfs.tree import inode


def test_a_blobs_inode_is_64_bits_of_its_digest() -> None:
    assert inode.of_blob(Digest("sha256", "0123456789abcdef" + "f" * 48)) == 0x0123456789ABCDEF


@pytest.mark.parametrize("digits", ["0" * 16, "0" * 15 + "1", "0" * 15 + "2", "f" * 16])
def test_it_is_never_0_or_1_and_always_64_bits(digits: str) -> None:
    assert 2 <= inode.of_blob(Digest("sha256", digits + "0" * 48)) < 1 << 64


def test_other_inodes_follow_from_directory_and_name() -> None:
    numbers = {
        inode.of_child(parent, name) for parent in (1, 2, (1 << 64) - 1) for name in ("a", "b", "\udcff")
    }
    assert len(numbers) == 9
    assert all(2 <= number < 1 << 64 for number in numbers)
    assert inode.of_child(1, "a") == inode.of_child(1, "a")
