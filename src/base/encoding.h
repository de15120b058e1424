/*
 * encoding.h - base64 (RFC 4648 4) and percent-encoding (RFC 3986 2.1)
 */
#ifndef TP_BASE_ENCODING_H
#define TP_BASE_ENCODING_H

#include <stddef.h>

/* With padding, NUL-terminated, owned by the caller; NULL if out of memory. */
char *base64_encode(const void *data, size_t len);

/* Text in base64 with padding; white space in it is skipped. NUL-terminated,
 * owned by the caller. NULL if malformed, if out of memory, or if what it says
 * holds a NUL. */
char *base64_decode_text(const char *text);

/* Undoes %41 in the first len bytes of text and writes the result, with a NUL,
 * to out, which has size bytes and may be text itself. 0, -ENOBUFS if it does
 * not fit, or -EINVAL for what is not two hex digits or says NUL; out is
 * undefined then. */
int percent_decode(char *out, size_t size, const char *text, size_t len);

/* Encodes all but unreserved characters (RFC 3986 2.3). Owned by the caller;
 * NULL if out of memory. */
char *percent_encode(const char *text);

#endif
