"""The sealed file of a split whose labels are secret: how it is made, and how its key opens it.

A line of ASCII (MAGIC, the split, the fingerprint of its pictures), then AES-256-SIV (RFC 5297) over a CSV table. SIV
needs no nonce: the same table and key give the same bytes, and a table that is changed does not open. Keys come from a
project's secret by HKDF (RFC 5869), another one for every split of every release.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from imagenet_builder.errors import ReleaseError

from .files import ReleaseFiles, open_files

MAGIC = "imagenet-builder sealed split 1"
KEY_BYTES, SECRET_BYTES = 64, 32


def sealed_name(split: str) -> str:
    """The name of a split's sealed file in its release."""
    return f"{split}.sealed"


def fingerprint(digests: Iterable[str]) -> str:
    """What a split's key is bound to: the SHA-256 of its published files' SHA-256, in the order of their names."""
    return sha256("".join(f"{digest}\n" for digest in digests).encode("ascii")).hexdigest()


def derived_key(secret: bytes, purpose: str, fingerprint_: str) -> bytes:
    """The KEY_BYTES for one purpose and the pictures with that fingerprint."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    context = f"imagenet-builder {purpose}".encode()
    return HKDF(SHA256(), KEY_BYTES, salt=bytes.fromhex(fingerprint_), info=context).derive(secret)


def sealing_key(secret: bytes, split: str, fingerprint_: str) -> bytes:
    """The key of one split of one release."""
    return derived_key(secret, f"labels of {split}", fingerprint_)


def seal(table: bytes, key: bytes, split: str, fingerprint_: str) -> bytes:
    """The content of the sealed file."""
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    head = f"{MAGIC} {split} {fingerprint_}\n".encode("ascii")
    return head + AESSIV(key).encrypt(table, [head])


def open_sealed(release: str | Path | ReleaseFiles, split: str, key_file: Path) -> list[dict[str, str]]:
    """The rows of a split's sealed file, by file name.

    `key_file` holds, in hexadecimal, the key of that split, which `export` wrote into the project, or the project's
    own secret.key. Raises ReleaseError where the release has no such file, or the key does not open it.
    """
    files, name = open_files(release), sealed_name(split)
    path = f"{files.name}/{name}"
    try:
        content = files.read(name)
    except FileNotFoundError as error:
        raise ReleaseError(f"{files.name} has no {name}: it is no release, or has no {split}") from error
    head, newline, sealed = content.partition(b"\n")
    words = head.decode("ascii", "replace").rpartition(" ")
    if words[0] != f"{MAGIC} {split}" or len(words[2]) != 2 * SECRET_BYTES or not newline:
        raise ReleaseError(f"{path} is not the sealed file of {split}")
    key = _read_key(key_file)
    if len(key) == SECRET_BYTES:
        key = sealing_key(key, split, words[2])
    return _rows(_decrypted(sealed, key, head + newline, f"{key_file} does not open {path}"))


def _read_key(key_file: Path) -> bytes:
    try:
        key = bytes.fromhex(key_file.read_text("ascii"))
    except OSError as error:
        raise ReleaseError(f"cannot read the key {key_file}: {error.strerror}") from error
    except ValueError as error:
        raise ReleaseError(f"{key_file} is no key: hexadecimal digits are wanted") from error
    if len(key) not in {KEY_BYTES, SECRET_BYTES}:
        raise ReleaseError(f"{key_file} is no key: it has {len(key)} bytes")
    return key


def _decrypted(sealed: bytes, key: bytes, head: bytes, complaint: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    try:
        return AESSIV(key).decrypt(sealed, [head])
    except (InvalidTag, ValueError) as error:
        raise ReleaseError(
            f"{complaint}: it is another release's or split's key, or the file is damaged"
        ) from error


def write_table(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The table that is sealed: CSV in UTF-8."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _rows(table: bytes) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(table.decode(), newline="")))
    return sorted(rows, key=lambda row: row["file"])
