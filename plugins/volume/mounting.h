/*
 * mounting.h - one volume's mount: its processes and who uses it
 *
 * Docker asks for a mount once for each container (an id) and takes it back
 * when that ends. The first id starts two processes, and the last one ends
 * them:
 *
 *   the broker    (broker.h) speaks with tp-daemon: what is served, then a
 *                 connection whenever tp-mount needs one; no capability
 *   tp-mount      mounts; its worker speaks with the cluster, without any
 *                 capability either
 *
 *   DOWN --mount--> LOOKING --list--> STARTING --ready--> UP
 *     ^-------------- failed ------------'                 | last id gone
 *     ^-------------------- both ended ---- DRAINING <-----'
 *
 * A broker that ends while tp-mount goes on is started again: what is mounted
 * stays, and a request that it had not answered is the next one's.
 *
 * Requests of one volume are done one after the other. All waits are bounded.
 */
#ifndef TP_VOLUME_MOUNTING_H
#define TP_VOLUME_MOUNTING_H

#include <stdbool.h>

struct mounting;
struct volume;

/* error NULL: done. Called once, perhaps from within the call. */
typedef void mounting_cb(void *arg, const char *error);

struct mounting *mounting_create(struct volume *v);
/* Nothing may run in it (mounting_is_idle()). NULL is fine. */
void mounting_destroy(struct mounting *m);

bool mounting_is_up(const struct mounting *m);
/* No id, no process, no request. */
bool mounting_is_idle(const struct mounting *m);
/* No process: what is left after mounting_end() when it is done. */
bool mounting_has_ended(const struct mounting *m);

void mounting_mount(struct mounting *m, const char *id, mounting_cb *cb,
                    void *arg);
/* Waits until what was written is with the server. An id that is not known is
 * no error: the plugin may have been restarted. */
void mounting_unmount(struct mounting *m, const char *id, mounting_cb *cb,
                      void *arg);

/* The plugin ends: whoever uses it loses it; what was written is written. */
void mounting_end(struct mounting *m);

/* What a plugin that was killed has left at path. */
void mounting_clean(const char *path);

#endif
