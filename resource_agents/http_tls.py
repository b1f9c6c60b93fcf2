"""TLS without I/O, over memory buffers. ``ssl`` is imported at the first HTTPS check only: it costs milliseconds.

Without verification (the default: a health check asks whether the server works, often by an address that is not in its
certificate) old protocols and weak keys are taken as well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


class TlsFailed(Exception):
    """The handshake failed; the message says how."""


class Untrusted(TlsFailed):
    """The certificate is not valid, expired for example: no restart of the server mends that."""


@lru_cache(maxsize=2)
def context(verify: bool) -> ssl.SSLContext:
    """The client's settings, made once."""
    import ssl

    if verify:
        return ssl.create_default_context()
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    made.set_ciphers("DEFAULT:@SECLEVEL=0")
    return made


class Tls:
    """One TLS connection: ciphertext in and out, plaintext in and out."""

    def __init__(self, verify: bool, name: str) -> None:
        import ssl

        self.ready = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            made = context(verify)
            self._object = made.wrap_bio(self._incoming, self._outgoing, server_hostname=name or None)
        except ValueError as error:
            raise TlsFailed(str(error)) from None
        self._plain = b""

    def send(self, plain: bytes) -> bytes:
        """Ciphertext to send now. Raises :class:`TlsFailed`."""
        self._plain += plain
        self._shake()
        return self._outgoing.read()

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        """Plaintext that arrived, and whether the other side closed. Raises :class:`TlsFailed`."""
        import ssl

        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        plain = bytearray()
        try:
            if not self._shake():
                return b"", not data
            while chunk := self._object.read(65536):
                plain += chunk
        except ssl.SSLWantReadError:
            return bytes(plain), False
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return bytes(plain), True
        except ssl.SSLError as error:
            raise TlsFailed(error.reason or str(error)) from None
        return bytes(plain), True

    def _shake(self) -> bool:
        import ssl

        try:
            if not self.ready:
                self._object.do_handshake()
                self.ready = True
            if self._plain:
                self._object.write(self._plain)
                self._plain = b""
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLCertVerificationError as error:
            raise Untrusted(f"its certificate is not valid: {error.verify_message}") from None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise  # the other side closed: what that means is not for the handshake to say
        except ssl.SSLError as error:
            raise TlsFailed(error.reason or str(error)) from None
        return True
