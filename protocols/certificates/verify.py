"""Certificates: small files that anybody can check again.

``bound --certificate`` writes the data that a bound needs, ``attack --certificate`` the counts of
an attack. ``verify`` derives the claim again, with exact fractions and interval arithmetic, and
says it in one sentence. It trusts no float, imports neither NumPy nor Numba, and accepts any file.
docs/certificates.md says what is proved and what is not; docs/certificate.schema.json is the form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import BadInput
from ...files import write_whole
from ...reductions.certificate_claim import FalseClaim
from . import counts as certificate_counts
from . import index as certificate_index
from . import own_keys as certificate_own_keys
from .document import LARGEST_FILE, Fields, check_seal, document_text, read_document

__all__ = [
    "FalseClaim",
    "Verdict",
    "verify",
    "verify_document",
    "write_certificate",
]

_CHECKS = {
    certificate_index.KIND: certificate_index.check_index,
    certificate_counts.KIND: certificate_counts.check_counts,
    certificate_own_keys.KIND: certificate_own_keys.check_own_keys,
}


@dataclass(frozen=True)
class Verdict:
    """What a certificate proves: in one sentence, and as plain data."""

    kind: str
    sentence: str
    facts: dict[str, Any] = field(compare=False)

    def as_dict(self) -> dict[str, Any]:
        """One JSON document."""
        return {"schema": 1, "proved": True, "kind": self.kind, "sentence": self.sentence} | {
            "facts": self.facts
        }


def verify(path: Path | str) -> Verdict:
    """Check the certificate in a file.

    Raises BadInput (exit code 2) if it is not a certificate, or cannot be checked, and FalseClaim
    (exit code 1) if its claim is false.
    """
    return verify_document(read_document(path))


def verify_document(document: dict[str, Any]) -> Verdict:
    """The same for a document that was read."""
    check_seal(document)
    common = Fields(document, "the certificate", tuple(document))
    kind = common.choice("kind", tuple(_CHECKS)) if "kind" in document else ""
    if not kind:
        raise BadInput("The certificate has no 'kind'.")
    if "made_by" in document:
        common.text("made_by", "[ -~]{1,80}", "a text of at most 80 printable characters")
    sentence, facts = _CHECKS[kind](document)
    return Verdict(kind, sentence, facts)


def write_certificate(path: Path | str, document: dict[str, Any]) -> Verdict:
    """Check a document, then write it in one step; BadInput where it is too large to be read."""
    verdict = verify_document(document)
    data = document_text(document).encode()
    if len(data) > LARGEST_FILE:
        raise BadInput(
            f"The certificate would have {len(data)} bytes, and at most {LARGEST_FILE} are read: "
            "certify fewer messages or cells."
        )
    write_whole(Path(path), data)
    return verdict
