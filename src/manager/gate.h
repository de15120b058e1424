/*
 * gate.h - requests on the aggregated API's port
 *
 * Every request must come with a front proxy's certificate (else 401) and name
 * a user. Discovery is for all users; opening a link needs the right to
 * `create` `connections`, which is asked for here (403 else), and a session
 * name that is not someone else's (404 else).
 */
#ifndef TP_MANAGER_GATE_H
#define TP_MANAGER_GATE_H

#include "base/bucket.h"
#include "base/error.h"
#include "manager/server.h"

struct api;
struct frontproxy;
struct links;
struct metrics;

struct gate {
    struct api *api;
    struct links *links;
    struct metrics *metrics;
    const struct frontproxy *frontproxy; /* may change its content */
    uv_loop_t *loop;
    struct bucket noise; /* audit lines about callers without a certificate */
    uint64_t suppressed;
};

void gate_init(struct gate *g, uv_loop_t *loop);

/* A server_request_cb; arg is the struct gate. */
void gate_request_cb(void *arg, struct server_request *req);

/* What a path of the API asks for. */
struct gate_path {
    char ns[64];
    char name[64];
    bool portforward; /* the subresource */
};

/* .../namespaces/NS/connections[/NAME[/portforward]], without a query. 0,
 * -ENOENT if it is no such path, -EINVAL with err for a bad NS or NAME. */
int gate_parse_path(struct gate_path *out, const char *path,
                    struct tp_error *err);

#endif
