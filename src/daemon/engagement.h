/*
 * engagement.h - the engagements of this workstation
 *
 * An engagement is one intercept, replace, mirror or ingest. The manager brings
 * it about (doc/protocol.md, Engagements); here lies what it means locally: its
 * id, made here at random, and the table that says where a connection to port N
 * of engagement ID goes. The manager names an id and a port, never a host: what
 * is not in the table is refused (SECURITY 4).
 *
 * An engagement lives until it is disengaged, the manager says that it is over,
 * or the session ends. It outlives links: each new outgoing link is told of it.
 */
#ifndef TP_DAEMON_ENGAGEMENT_H
#define TP_DAEMON_ENGAGEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "daemon/shortcut.h"

struct engagement;
struct engagements;
struct json_object;
struct session;

#define ENGAGEMENTS_MAX      64
#define ENGAGEMENT_FILES_DIR "/run/tp/files"

/* `mark`: on connections to other hosts, so that they are never captured. */
struct engagements *engagements_create(uv_loop_t *loop, struct session *s,
                                       uint32_t mark);
void engagements_destroy(struct engagements *e);

/* Takes `engagement` of {"op":"engage"} (doc/control.md) and asks the manager.
 * 0 (then *already says that it was there), -EINVAL for a bad request, -EBUSY
 * for too many, -EOPNOTSUPP for a manager that knows none; err filled. The
 * result is borrowed; it is announced to watchers. */
int engagements_add(struct engagements *e, struct json_object *request,
                    struct engagement **out, bool *already,
                    struct tp_error *err);
struct engagement *engagements_find(const struct engagements *e,
                                    const char *name);
/* Tells the manager, if need be with the next link, and forgets it here: at
 * once, or (a replace) when the container is there again. */
void engagements_remove(struct engagements *e, struct engagement *eng);
enum engagement_end {
    ENGAGEMENT_OVER,
    ENGAGEMENT_UNTOLD,    /* the manager has not answered yet */
    ENGAGEMENT_UNLINKED,  /* there is no link to tell it on */
    ENGAGEMENT_RESTORING, /* it ends when its pods are rolled back */
};
/* How far the end of an engagement is; id NULL: of all that were removed. */
enum engagement_end engagements_end(const struct engagements *e,
                                    const char *id);
/* [{"id", "name"}]: those that the manager has yet to be told of. Owned. */
struct json_object *engagements_withdrawn(const struct engagements *e);
size_t engagements_count(const struct engagements *e);
/* The n-th, NULL behind the last. */
struct engagement *engagements_nth(const struct engagements *e, size_t n);

enum engagement_state {
    ENG_ASKING, /* the manager has not answered, or there is no link */
    ENG_COMING, /* accepted: pending or injecting */
    ENG_READY,
    ENG_FAILED, /* refused or ended; goes with its last watcher */
};
enum engagement_state engagement_state(const struct engagement *eng);
/* LOCAL of doc/control.md; the caller owns it. */
struct json_object *engagement_to_json(const struct engagement *eng);
const char *engagement_id(const struct engagement *eng);
/* Of ENG_FAILED: why, and its code. Else the newest message. */
const char *engagement_message(const struct engagement *eng);
/* Something about it is still to be found out here. */
bool engagement_is_checking(const struct engagement *eng);
const char *engagement_code(const struct engagement *eng);

/* Told of each change of one engagement, or of any (eng NULL), until removed.
 * eng is good during the call only. */
struct engagement_watcher {
    struct engagement_watcher *prev, *next;
    void (*changed_cb)(void *arg, struct engagement *eng);
    void *arg;
};
void engagements_add_watcher(struct engagements *e,
                             struct engagement_watcher *w);
void engagements_remove_watcher(struct engagements *e,
                                struct engagement_watcher *w);

/* A shortcut_cb; arg is the struct engagements: what an intercept or replace of
 * this session has taken over (and only while it is ready, and linked). */
bool engagements_shortcut(void *arg, const union sockaddr_any *dst, bool udp,
                          struct shortcut *out);

/* A GET on the outgoing link for the CLI (environment, workloads, logs). cb:
 * HTTP status or negative errno, as tunnel_request(). 0 or -ENOTCONN. */
typedef void engagement_answer_cb(void *arg, int status, const char *body,
                                  size_t len);
int engagements_ask(struct engagements *e, const char *path,
                    engagement_answer_cb *cb, void *arg);
/* The same by POST. */
int engagements_post(struct engagements *e, const char *path, const char *body,
                     engagement_answer_cb *cb, void *arg);

/* Volumes (doc/protocol.md 5.1). The directory of the sockets, borrowed; before
 * the first engagement: what a killed tp-daemon left there goes. NULL: none are
 * made. */
void engagements_set_files_dir(struct engagements *e, const char *dir);
/* Asks the manager: cb gets FILES, or an error. 0, -ENOTCONN or as
 * tunnel_request(). */
int engagement_files_ask(struct engagement *eng, engagement_answer_cb *cb,
                         void *arg);
/* Where each connection becomes an SSH conversation with a pod. */
void engagement_files_socket(const struct engagement *eng, char out[108]);
/* The private key for it, PEM; borrowed. */
const char *engagement_files_key(const struct engagement *eng);

#endif
