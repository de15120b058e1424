/*
 * dial_internal.h - the steps of dial.c
 */
#ifndef TP_NET_DIAL_INTERNAL_H
#define TP_NET_DIAL_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "net/dial.h"
#include "net/http1.h"
#include "net/stream.h"

/* --- dial_config.c: what is dialled, and how ------------------------------ */

struct dial_copy {
    struct dial_config config; /* its strings are copies */
    struct dial_proxy proxy;   /* that config.proxy points to, if it is set */
    char *strings[9];          /* that both point to */
    size_t string_count;
};

/* Copies config into a zeroed object. False when out of memory; it must be
 * released either way. */
bool dial_copy_init(struct dial_copy *to, const struct dial_config *config);
void dial_copy_release(struct dial_copy *to);
/* False if a text could add a line or a word to a request. */
bool dial_copy_is_valid(const struct dial_copy *to);

/* --- dial_connect.c: a name and a port become a connected socket ---------- */

struct dial_race;

/* Once, from the loop: 0 and the socket, or a negative errno and why. The race
 * is gone. A name that does not resolve is -EHOSTUNREACH. */
typedef void dial_race_cb(void *arg, int status, int fd, const char *text);

/* Copies host. NULL only when out of memory. */
struct dial_race *dial_race_start(uv_loop_t *loop, const char *host,
                                  uint16_t port, uint32_t mark,
                                  dial_race_cb *cb, void *arg);
void dial_race_cancel(struct dial_race *r);
/* What it is busy with: "resolve host", "connect to 10.0.0.1:443". */
const char *dial_race_describe(const struct dial_race *r, char *text,
                               size_t size);

/* --- dial_http.c: one request, one answer --------------------------------- */

/* Bytes of a refusal's body that are kept. */
#define DIAL_MAX_BODY 8192

struct dial_answer {
    struct http1_head head;
    const char *body;  /* of a refusal, NUL-terminated, or NULL */
    const void *extra; /* what came behind the head, if it is no refusal */
    size_t extra_len;
};

struct dial_http;

/* Once, from the loop: 0 and the answer, or a negative errno and NULL. The
 * object must be freed by dial_http_free(), here or later. */
typedef void dial_http_cb(void *arg, int status,
                          const struct dial_answer *answer);

/* Sends the request, which it takes over (also on failure; it is wiped), on s,
 * which stays the caller's. `connect`: 2xx is success, otherwise 101 is. NULL
 * when out of memory. */
struct dial_http *dial_http_start(struct stream *s, char *request, size_t len,
                                  bool connect, dial_http_cb *cb, void *arg);
void dial_http_free(struct dial_http *h);
/* No more time: if there is a refusal already, reports it with the body as far
 * as it came and returns true. */
bool dial_http_expire(struct dial_http *h);

/* Decodes as much of a chunked body (RFC 9112 7.1) as is there: *used bytes of
 * at most `size` are written to out. Returns 1 if it is complete, 0 if not,
 * -EBADMSG. */
int dial_decode_chunks(const char *data, size_t len, char *out, size_t size,
                       size_t *used);

#endif
