/*
 * files.h - the volume mounts of the pod's containers, for the manager's users
 *
 * doc/protocol.md 6. The manager says which key may see which container's
 * mounts (a grant), and then opens streams by the engagement's id: each becomes
 * a process of tp-agent-sftp, which knows that key, those mounts and nothing
 * else. The host key is made when it is first needed and is this agent's.
 */
#ifndef TP_AGENT_FILES_H
#define TP_AGENT_FILES_H

#include <uv.h>

#include "agent/settings.h"
#include "tunnel/tunnel.h"

struct files;
struct json_object;

#define FILES_ROOT       "/run/tp/files"
#define FILES_GRANTS_MAX 64
#define FILES_GRANT_MS   60000
#define FILES_SERVERS    16 /* processes at once */
#define FILES_PORT       22

/* settings is borrowed; root is where the webhook mounts (FILES_ROOT), program
 * the file server, NULL: beside this program. NULL if out of memory. */
struct files *files_create(uv_loop_t *loop, const struct settings *settings,
                           const char *root, const char *program);
/* Ends all servers. The memory goes with the last of them, on the loop. NULL is
 * fine. */
void files_destroy(struct files *f);

/* Takes the body of POST /tp/v1/files. The answer, which the caller puts, or
 * NULL with err: -EINVAL, -ENOENT (no such container), -ENOMEM. */
struct json_object *files_grant(struct files *f, const char *body, size_t len,
                                struct tp_error *err);

/* A stream by name: 0, or why it is refused: -EACCES without a grant, -EMFILE
 * for too many servers. */
int files_open(struct files *f, struct tunnel_stream *s,
               const struct tunnel_open *open);

#endif
