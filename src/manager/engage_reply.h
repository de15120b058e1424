/*
 * engage_reply.h - the answer to a request on a link, now or later
 *
 * A reply is sent exactly once; if its stream is gone by then, to nobody.
 */
#ifndef TP_MANAGER_ENGAGE_REPLY_H
#define TP_MANAGER_ENGAGE_REPLY_H

struct json_object;
struct reply;
struct tunnel_stream;

/* NULL if out of memory. */
struct reply *reply_create(struct tunnel_stream *s);
/* Takes obj. */
void reply_send(struct reply *r, int status, struct json_object *obj);
/* {"error": TEXT, "code": CODE}; code NULL: none. */
void reply_error(struct reply *r, int status, const char *code, const char *fmt,
                 ...) __attribute__((format(printf, 4, 5)));

#endif
