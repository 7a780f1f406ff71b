"""What every image store does: a folder, and buckets of S3, Google and Azure."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imagenet_builder.errors import ImageStoreError
from imagenet_builder.executors.shared import MEBIBYTE, SharedMemory
from imagenet_builder.images import ImageStore, open_image_store
from tests.other_buckets import azurite_server, google_server, new_azure_container, new_google_bucket
from tests.s3_servers import S3Server, new_bucket, use_server

MISSING = "0" * 64


@pytest.fixture(scope="module")
def google(moto_server: S3Server) -> Iterator[str]:
    with google_server(moto_server) as address:
        yield address


@pytest.fixture(scope="module")
def azurite() -> Iterator[str]:
    with azurite_server() as address:
        yield address


@pytest.fixture(params=["folder", "moto", "swift", "google", "azurite"])
def store_address(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Path]:
    """An address of an empty store, and the folder that it is relative to."""
    if request.param == "folder":
        return "images", tmp_path
    if request.param == "google":
        return new_google_bucket(request.getfixturevalue("google"), monkeypatch), tmp_path
    if request.param == "azurite":
        return new_azure_container(request.getfixturevalue("azurite"), monkeypatch), tmp_path
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return new_bucket(server, monkeypatch), tmp_path


@pytest.fixture
def images(store_address: tuple[str, Path]) -> ImageStore:
    url, folder = store_address
    return open_image_store(url, relative_to=folder)


def test_bytes_come_back_under_their_sha256(images: ImageStore) -> None:
    for content in (b"a picture", b"", bytes(range(256)) * 8000):
        sha256 = images.put(content)
        assert sha256 == hashlib.sha256(content).hexdigest()
        assert images.get(sha256) == content
        assert images.exists(sha256)


def test_storing_twice_stores_once(images: ImageStore) -> None:
    assert images.put(b"one") == images.put(b"one")
    assert list(images) == [hashlib.sha256(b"one").hexdigest()]


def test_many_are_stored_in_one_call(images: ImageStore) -> None:
    contents = {hashlib.sha256(content).hexdigest(): content for content in (b"a", b"b" * 300_000, b"")}
    images.put_all(contents)
    images.put_all(contents)
    images.put_all({})
    assert {sha256: images.get(sha256) for sha256 in images} == contents


def test_contents_are_stored_from_shared_memory_too(images: ImageStore) -> None:
    memory, contents = SharedMemory(MEBIBYTE, MEBIBYTE), {}
    for content in (b"a", b"b" * 300_000, b""):
        slot = memory.take(len(content))
        assert slot is not None
        slot.view[:] = content
        contents[hashlib.sha256(content).hexdigest()] = slot
    images.put_all({sha256: slot.view for sha256, slot in contents.items()})
    assert {sha256: images.get(sha256) for sha256 in images} == {
        sha256: bytes(slot.view) for sha256, slot in contents.items()
    }
    memory.close()


def test_every_stored_hash_is_listed_and_nothing_else(images: ImageStore) -> None:
    stored = {images.put(str(number).encode()) for number in range(20)}
    assert sorted(images) == sorted(stored)


def test_a_deleted_image_is_gone_and_deleting_again_is_nothing(images: ImageStore) -> None:
    sha256 = images.put(b"gone")
    images.delete(sha256)
    images.delete(sha256)
    assert not images.exists(sha256)
    assert list(images) == []
    with pytest.raises(ImageStoreError, match="missing"):
        images.get(sha256)


def test_what_was_never_stored_is_missing_by_name(images: ImageStore) -> None:
    assert not images.exists(MISSING)
    with pytest.raises(ImageStoreError, match=f"image {MISSING} is missing"):
        images.get(MISSING)


@pytest.mark.parametrize("name", ["", "abc", "../../etc/passwd", "A" * 64, "0" * 63 + "\n"])
def test_only_a_sha256_names_an_image(images: ImageStore, name: str) -> None:
    for call in (images.get, images.exists, images.delete):
        with pytest.raises(ImageStoreError, match="not a SHA-256"):
            call(name)


def test_many_threads_share_a_store(images: ImageStore) -> None:
    contents = [bytes([number % 7]) * 50_000 for number in range(56)]
    start = threading.Barrier(8)

    def store(part: int) -> list[str]:
        start.wait()
        return [images.put(content) for content in contents[part::8]]

    with ThreadPoolExecutor(8) as threads:
        stored = {sha256 for part in threads.map(store, range(8)) for sha256 in part}
    assert sorted(images) == sorted(stored)
    assert len(stored) == 7
    for sha256 in stored:
        assert hashlib.sha256(images.get(sha256)).hexdigest() == sha256


def test_another_opening_of_the_same_address_sees_the_same_images(
    store_address: tuple[str, Path], images: ImageStore
) -> None:
    sha256 = images.put(b"shared")
    url, folder = store_address
    assert open_image_store(url, relative_to=folder).get(sha256) == b"shared"


def test_a_bucket_that_does_not_exist_is_one_clear_line(
    moto_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_server(moto_server, monkeypatch)
    images = open_image_store("s3://there-is-no-such-bucket", relative_to=tmp_path)
    with pytest.raises(
        ImageStoreError, match="cannot write images in s3://there-is-no-such-bucket"
    ) as caught:
        images.put(b"x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["az://pictures/all", "azure://pictures/all", "abfss://pictures@me.dfs.core.windows.net/all", "gs://b/c"],
)
def test_buckets_are_named_as_their_clouds_name_them(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
    images = open_image_store(address, relative_to=tmp_path)
    assert (images.name, images.is_folder) == (address, False)
    assert not list(tmp_path.iterdir())
