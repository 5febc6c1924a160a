"""What a connection to a Qdrant server over TLS takes: certificates and a key, of PEM files."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from twinlens.catalog.errors import StoreError
from twinlens.stores.address import ServerAddress


def read_certificates(address: ServerAddress) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of a client's gRPC, and those of its REST; none where no file is named.

    Raises:
        StoreError: a file can't be read, or isn't what it should be.
    """
    ca_file, cert_file = address.ca_file, address.cert_file
    if address.key_file is not None and cert_file is None:
        raise StoreError(f"{address.key_file}: a key takes a certificate, qdrant_cert_file")
    if ca_file is None and cert_file is None:
        return {}, {}
    key_file = address.key_file or cert_file  # one file may hold both
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file is not None:
            # An empty one, as OpenSSL would ask the terminal for it.
            context.load_cert_chain(cert_file, key_file, password="")
        for_grpc = {"root_certificates": _read(ca_file)}
        if cert_file is not None:
            for_grpc |= {"certificate_chain": _read(cert_file), "private_key": _read(key_file)}
    except OSError as error:  # an SSLError is one
        named = ", ".join(str(file) for file in (ca_file, cert_file, key_file) if file)
        raise StoreError(f"certificate or key can't be read: {named}: {error}") from error
    return for_grpc, {"verify": context}


def _read(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()
