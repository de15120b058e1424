/*
 * files_internal.h - files.c: grants, streams; files_mounts.c: what is there;
 * files_server.c: processes
 */
#ifndef TP_AGENT_FILES_INTERNAL_H
#define TP_AGENT_FILES_INTERNAL_H

#include <sys/queue.h>

#include "agent/files.h"
#include "net/sshkey.h"

struct files_grant {
    char id[TUNNEL_NAME_LEN + 1]; /* "": none */
    char container[64];
    char *key;
    bool read_only, credentials;
    uint64_t made; /* uv_now() */
};

struct files_server {
    LIST_ENTRY(files_server) entry;
    struct files *f;
    uv_process_t process;
};

struct files {
    uv_loop_t *loop;
    const struct settings *settings;
    char *root, *program;
    struct sshkey_pair host;
    struct files_grant grants[FILES_GRANTS_MAX];
    LIST_HEAD(, files_server) servers;
    unsigned count; /* of servers */
    bool closing;
};

/* files_mounts.c: adds "mounts" and "left_out" to an answer, or "exports" to
 * what a server is told. */
void files_put_mounts(const struct files *f, const struct files_grant *g,
                      struct json_object *answer);
void files_put_exports(const struct files *f, const struct files_grant *g,
                       struct json_object *settings);

/* files_server.c: starts one; the socket to it, or a negative errno. */
int files_server_start(struct files *f, const struct files_grant *g);
void files_server_stop(struct files_server *server);
/* files.c: the last server has gone. */
void files_release(struct files *f);

#endif
