"""The one room that touches OpenSSL itself: private bindings of pyOpenSSL, and functions that no binding lists."""
