"""A file of credentials sets what the environment would, and no error repeats what stands in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regfs.errors import UsageError
from regfs.storage.objects.credentials import take_credentials


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr("os.environ", dict(os.environ))
    return os.environ  # type: ignore[return-value]


def taken(tmp_path: Path, text: str, mode: int = 0o600) -> None:
    file = tmp_path / "credentials"
    file.write_text(text)
    file.chmod(mode)
    take_credentials(str(file))


@pytest.mark.parametrize(
    "text",
    [
        "AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=se=cr et\n",
        "# ours\n\n; ours\nexport AWS_ACCESS_KEY_ID=id\nexport AWS_SECRET_ACCESS_KEY='se=cr et'\n",
        'AWS_ACCESS_KEY_ID="id"\r\nAWS_SECRET_ACCESS_KEY = "se=cr et"',
        "[other]\nregion = x\n[default]\naws_access_key_id = id\naws_secret_access_key = se=cr et\n[x]\ny\n",
    ],
)
def test_each_way_in_which_they_are_written_is_read(
    tmp_path: Path, environment: dict[str, str], text: str
) -> None:
    environment["AWS_SESSION_TOKEN"] = "of another key"
    environment["AWS_REGION"] = "eu"
    taken(tmp_path, text)
    found = {name: value for name, value in environment.items() if name.startswith("AWS_")}
    assert found == {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "se=cr et",
        "AWS_REGION": "eu",
    }


def test_credentials_of_the_environment_stay_where_the_file_has_none(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    environment["AWS_ACCESS_KEY_ID"] = "id"
    taken(tmp_path, "AZURE_STORAGE_ACCOUNT_NAME=account\n")
    assert (environment["AWS_ACCESS_KEY_ID"], environment["AZURE_STORAGE_ACCOUNT_NAME"]) == ("id", "account")


@pytest.mark.parametrize("text", ["secret", "LD_PRELOAD=secret", "AWS_REGION=eu\nsecret = x", "secret: x"])
def test_what_is_none_is_refused_by_its_line_and_not_repeated(
    tmp_path: Path, environment: dict[str, str], text: str
) -> None:
    before = dict(environment)
    with pytest.raises(UsageError, match=f"line {len(text.splitlines())} is not NAME=VALUE") as caught:
        taken(tmp_path, text)
    assert "secret" not in str(caught.value).replace("AWS_SECRET", "")
    assert environment == before


@pytest.mark.parametrize(("mode", "sound"), [(0o600, True), (0o440, True), (0o644, False), (0o660, False)])
def test_a_file_that_others_can_read_or_write_is_refused(
    tmp_path: Path, environment: dict[str, str], mode: int, sound: bool
) -> None:
    if sound:
        taken(tmp_path, "AWS_REGION=eu", mode)
        assert environment["AWS_REGION"] == "eu"
    else:
        with pytest.raises(UsageError, match="chmod 600"):
            taken(tmp_path, "AWS_REGION=eu", mode)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="nothing: the credentials cannot be read: No such file"):
        take_credentials(str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        take_credentials(str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "binary").chmod(0o600)
    with pytest.raises(UsageError, match="is no file of credentials"):
        take_credentials(str(tmp_path / "binary"))
