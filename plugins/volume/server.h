/*
 * server.h - Docker's volume plugin protocol: HTTP/1.1 and JSON on a unix
 * socket
 *
 * https://docs.docker.com/engine/extend/plugins_volume/. Requests are POSTs
 * whose path names the call; the answer may take its time (requests.h).
 */
#ifndef TP_VOLUME_SERVER_H
#define TP_VOLUME_SERVER_H

#include <stdbool.h>

#include <uv.h>

#include "base/error.h"

#define SERVER_BODY_MAX (256 * 1024)

struct json_object;
struct server;
struct server_request;

/* body: what was sent, an object, or NULL if there was none; borrowed. Exactly
 * one server_answer() follows. */
typedef void server_cb(void *arg, struct server_request *r, const char *path,
                       struct json_object *body);

struct server *server_create(uv_loop_t *loop, const char *path, server_cb *cb,
                             void *arg, struct tp_error *err);
/* No callback comes any more; requests that are not answered stay good for
 * server_answer(). */
void server_close(struct server *s);

/* Takes the object. status: 200, or 404 for a call that there is not. False:
 * whoever asked has gone. */
bool server_answer(struct server_request *r, int status,
                   struct json_object *obj);

#endif
