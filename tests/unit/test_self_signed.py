import pytest
from cryptography import x509

from common.self_signed import BadCertificate, new_identity, one_certificate


def test_a_certificate_that_was_told_comes_back_as_it_was() -> None:
    made = new_identity("north")
    assert one_certificate(made.certificate.decode()) == made.certificate
    assert b"PRIVATE" in made.key
    assert b"PRIVATE" not in made.certificate
    found = x509.load_pem_x509_certificate(made.certificate)
    assert found.subject == found.issuer
    assert (found.not_valid_after_utc - found.not_valid_before_utc).days == 2


def test_what_is_not_one_certificate_is_refused() -> None:
    made = new_identity("north").certificate.decode()
    for text in (None, "", "x", made + made, made[:-80]):
        with pytest.raises(BadCertificate, match="not one certificate"):
            one_certificate(text)


def test_what_stands_around_a_certificate_is_dropped() -> None:
    made = new_identity("north").certificate
    assert one_certificate("words\n" + made.decode() + "more words") == made
