"""Bytes into and out of a connection on memory BIOs, called for every message: the hot path of TLS.

pyOpenSSL's own methods allocate a buffer of the caller's size for each read and copy out of it, and raise an exception
whenever there is nothing now, which is how every burst of data ends. Here OpenSSL reads into and writes out of the
caller's memory, and "nothing now" is a number. Everything else that OpenSSL has to say is told by pyOpenSSL's
exceptions, which look at the error queue and at what callbacks have raised.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

# ssl.h. What SSL_get_error says where nothing is wrong; the numbers are part of OpenSSL's interface.
_WANT_READ: Final = lib.SSL_ERROR_WANT_READ
_WANT_WRITE: Final = lib.SSL_ERROR_WANT_WRITE
_ZERO_RETURN: Final = lib.SSL_ERROR_ZERO_RETURN

_read, _write, _error = lib.SSL_read, lib.SSL_write, lib.SSL_get_error
_bio_read, _bio_write, _bio_size = lib.BIO_read, lib.BIO_write, lib.BIO_get_mem_data
_memory, _NULL = ffi.from_buffer, ffi.NULL


class Records:
    """The bytes of one connection, which has to have no socket and to live as long as this."""

    __slots__ = ("_connection", "_from_ssl", "_into_ssl", "_ssl", "check", "failure", "has_output", "unread")

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection
        self._ssl = connection._ssl
        # What a read met behind the bytes that it returned: the next one raises it.
        self.failure: Exception | None = None
        # Raises if what OpenSSL has just read is not to be had, whatever else was in it.
        self.check: Callable[[], None] | None = None
        self._take_bios()

    def _take_bios(self) -> None:
        connection = self._connection
        self._into_ssl = connection._into_ssl
        self._from_ssl = connection._from_ssl
        # Bytes that were fed and not looked at: perhaps whole records, perhaps the start of one.
        self.unread: Callable[[], int] = partial(_bio_size, connection._into_ssl, _NULL)
        # Bytes of ciphertext to send.
        self.has_output: Callable[[], int] = partial(_bio_size, connection._from_ssl, _NULL)

    def feed(self, ciphertext: memoryview | bytes) -> None:
        """Put received bytes in, at least one. A memory BIO takes all of them. Raises `SSL.Error`."""
        if _bio_write(self._into_ssl, _memory(ciphertext), len(ciphertext)) != len(ciphertext):
            raise _out_of_memory()

    def peek(self) -> bytes:
        """What was fed and not looked at."""
        place = ffi.new("char **")
        count = _bio_size(self._into_ssl, place)
        return bytes(ffi.buffer(place[0], count)) if count > 0 else b""

    def read(self, buffer: memoryview, ciphertext: memoryview | None = None, fed: int = 0) -> int:
        """Decrypt into `buffer` (SSL_read) as many records as there are and as fit, with `ciphertext` after its first
        `fed` bytes were fed: how many bytes; 0 where more has to be fed.

        Raises `SSL.ZeroReturnError` at close_notify, `SSL.Error`, and what `check` does; what came before was returned
        then (`failure`).
        """
        if ciphertext is not None and _bio_write(self._into_ssl, _memory(ciphertext), fed) != fed:
            raise _out_of_memory()
        if self.failure is not None:
            self._fail()
        ssl, memory, size, unread = self._ssl, _memory(buffer), len(buffer), self.unread
        count: int = _read(ssl, memory, size)
        if count <= 0:
            count = self._nothing(count)
        check = self.check
        if check is not None:
            check()
        while 0 < count < size and unread():
            more = _read(ssl, memory + count, size - count)
            if more <= 0 or check is not None:
                more = self._judged(more)
            if more <= 0:
                break
            count += more
        return count

    def seal(self, plaintext: memoryview, buffer: memoryview) -> tuple[int, int]:
        """`write` and `output` in one: what each returns."""
        count: int = _write(self._ssl, _memory(plaintext), len(plaintext))
        if count <= 0:
            count = self._nothing(count)
        return count, self.output(buffer)

    def write(self, plaintext: memoryview) -> int:
        """Encrypt (SSL_write): how much was taken, a record at most unless the context is to `write_whole`; 0 where
        something has to be fed first.

        Raises `SSL.Error`.
        """
        count: int = _write(self._ssl, _memory(plaintext), len(plaintext))
        return count if count > 0 else self._nothing(count)

    def output(self, buffer: memoryview) -> int:
        """Move ciphertext that is to be sent into `buffer`: how many bytes; 0 when there are none."""
        count: int = _bio_read(self._from_ssl, _memory(buffer), len(buffer))
        return max(count, 0)

    def shrink(self) -> None:
        """Give back what the BIOs have grown to: a memory BIO keeps the size of the most that was ever in it.

        Nothing happens while there is anything in them, or where there is no memory for new ones. `unread` and
        `has_output` are others afterwards, and the old ones must not be called any more.
        """
        if self.unread() or self.has_output():
            return
        into, out = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
        if _NULL in (into, out):
            lib.BIO_free(into)
            lib.BIO_free(out)
            return
        # SSL_set_bio(3): both are the connection's from here on, and those that it had are freed.
        lib.SSL_set_bio(self._ssl, into, out)
        self._connection._into_ssl, self._connection._from_ssl = into, out
        self._take_bios()

    def _judged(self, result: int) -> int:
        """What was read behind something that is good: 0 if that is where a read ends, for now or with a `failure`."""
        try:
            if result <= 0:
                result = self._nothing(result)
            if self.check is not None:
                self.check()
        except Exception as error:  # noqa: BLE001 - the next read raises it
            # Its traceback leads back here: it would be there until the collector comes by.
            self.failure = error.with_traceback(None)
            return 0
        return result

    def _fail(self) -> None:
        failure, self.failure = self.failure, None
        try:
            if failure is not None:
                raise failure
        finally:
            del failure

    def _nothing(self, result: int) -> int:
        error = _error(self._ssl, result)
        if error in (_WANT_READ, _WANT_WRITE):
            return 0
        if error == _ZERO_RETURN:
            raise SSL.ZeroReturnError
        self._connection._raise_ssl_error(self._ssl, result)
        raise AssertionError("pyOpenSSL has raised")


def _out_of_memory() -> SSL.Error:
    return SSL.Error([("BIO routines", "BIO_write", "malloc failure")])
