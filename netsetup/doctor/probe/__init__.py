"""One real connection per capturing service and IP version, from namespaces made for it and gone after it."""
