"""The files of TLS: which are taken, and which refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from gradmill_server.serving.security.certificates import Certificates, watched_certificates
from gradmill_server.serving.security.files import UnusableFile, Watched
from gradmill_server.serving.settings import Settings

from tests.serving.security.makers import Authority, Pair, private_pem
from tests.serving.security.recording import RecordedAudit


def _watched(pair: Pair, audit: RecordedAudit, authority: str = "") -> Watched[Certificates]:
    settings = replace(
        Settings(),
        tls_certificate_file=str(pair.certificate),
        tls_key_file=str(pair.key),
        tls_client_authority_file=authority,
    )
    watched = watched_certificates(settings, audit)
    assert watched is not None
    return watched


def test_without_files_there_is_no_tls() -> None:
    """A server that is given no certificate speaks in clear."""
    assert watched_certificates(Settings(), RecordedAudit()) is None


def test_a_certificate_with_its_key(tmp_path: Path) -> None:
    """A certificate and its key are taken as they are, with an authority for callers' or without."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    certificates = _watched(pair, RecordedAudit()).current
    assert (certificates.chain, certificates.key) == (pair.certificate.read_bytes(), pair.key.read_bytes())
    assert certificates.client_authority is None
    with_authority = _watched(pair, RecordedAudit(), str(authority.file)).current
    assert with_authority.client_authority == authority.file.read_bytes()


def _other_key(pair: Pair) -> None:
    other = pair.key.with_suffix(".other")
    other.mkdir()
    pair.key.write_bytes(Authority(other).issue("other").key.read_bytes())


def _encrypted(pair: Pair) -> None:
    pair.key.write_bytes(private_pem(load_pem_private_key(pair.key.read_bytes(), None), b"password"))


def _cut(pair: Pair) -> None:
    pair.certificate.write_bytes(pair.certificate.read_bytes()[:200])


def _swapped(pair: Pair) -> None:
    pair.certificate.write_bytes(pair.key.read_bytes())


BROKEN = pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_other_key, "KEY_VALUES_MISMATCH"),
        (_encrypted, "the key is encrypted"),
        (_cut, "not usable certificates in PEM"),
        (_swapped, "not usable certificates in PEM"),
    ],
)


@BROKEN
def test_files_that_do_not_fit(tmp_path: Path, damage: Callable[[Pair], None], said: str) -> None:
    """A key of another certificate, one with a password, and garbage are refused at the start, and nobody is asked."""
    pair = Authority(tmp_path).issue("server")
    secret = pair.key.read_text().splitlines()[1]
    damage(pair)
    with pytest.raises(UnusableFile, match=re.escape(said)) as caught:
        _watched(pair, RecordedAudit())
    assert str(caught.value).startswith("tls_certificate_file, tls_key_file: ")
    assert secret not in str(caught.value)


@BROKEN
def test_a_broken_new_pair_keeps_the_old_one(tmp_path: Path, damage: Callable[[Pair], None], said: str) -> None:
    """A pair that is replaced by a broken one is kept, which is recorded once; once it is right again, it is taken."""
    authority, audit = Authority(tmp_path), RecordedAudit()
    pair = authority.issue("server")
    watched = _watched(pair, audit)
    before = watched.current
    damage(pair)
    assert not any(watched.refresh() for _ in range(3))
    assert watched.current is before
    ((event, cause, values),) = audit.records
    assert (event, cause) == ("files_unusable", "certificates")
    assert said in str(values["reason"])
    authority.issue("server")
    assert watched.refresh()
    assert watched.current is not before


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    """An authority file without a certificate is refused with its name."""
    pair = Authority(tmp_path).issue("server")
    (tmp_path / "empty.pem").write_bytes(b"")
    for content in (b"", b"garbage", pair.key.read_bytes()):
        (tmp_path / "authority.pem").write_bytes(content)
        with pytest.raises(UnusableFile, match=r"tls_client_authority_file: .*not usable certificates in PEM"):
            _watched(pair, RecordedAudit(), str(tmp_path / "authority.pem"))


def test_certificates_do_not_show_their_key(tmp_path: Path) -> None:
    """What holds a key does not show it when printed."""
    certificates = _watched(Authority(tmp_path).issue("server"), RecordedAudit()).current
    assert "PRIVATE" not in repr(certificates)
