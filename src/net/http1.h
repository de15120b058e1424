/*
 * http1.h - heads of HTTP/1.1 messages (RFC 9112)
 *
 * Parses a request or response head that is complete in memory, strictly:
 * no obs-fold, no bare CR or LF, no space before a colon, no second
 * Content-Length, no Transfer-Encoding beside Content-Length. The head's bytes
 * are copied; names and values are NUL-terminated strings in the object.
 */
#ifndef TP_NET_HTTP1_H
#define TP_NET_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP1_MAX_HEAD    32768
#define HTTP1_MAX_HEADERS 512 /* a user may be in hundreds of groups */

struct http1_header {
    char *name;  /* as sent; compare without case */
    char *value; /* without surrounding white space */
};

struct http1_head {
    char *method; /* request */
    char *target; /* request */
    int status;   /* response */
    char *reason; /* response */
    struct http1_header headers[HTTP1_MAX_HEADERS];
    size_t count;
    int64_t content_length; /* -1: none given */
    bool chunked;
    bool keep_alive;
    char *storage; /* owns every string above */
};

enum http1_kind { HTTP1_REQUEST, HTTP1_RESPONSE };

/* Returns the length of the head including its empty line, 0 if it is not
 * complete yet, -EBADMSG if it is malformed, -EMSGSIZE beyond the limits,
 * -ENOMEM.
 * On > 0 the head must be released. */
int http1_parse(struct http1_head *head, enum http1_kind kind, const void *data,
                size_t len);
void http1_release(struct http1_head *head);

/* The first header of that name, or NULL. */
const char *http1_get(const struct http1_head *head, const char *name);
/* How many headers have that name. */
size_t http1_count(const struct http1_head *head, const char *name);
/* The rest of the header, if there is one of that name alone and its value
 * starts with scheme ("Bearer "), without case (RFC 9110 11.4); else NULL.
 * Borrowed. */
const char *http1_credentials(const struct http1_head *head, const char *name,
                              const char *scheme);
/* True if a comma-separated list header holds the token, without case. */
bool http1_has_token(const struct http1_head *head, const char *name,
                     const char *token);

#endif
