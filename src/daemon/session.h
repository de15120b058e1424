/*
 * session.h - the session with the cluster
 *
 * One session at a time. It keeps a link alive (backoff, a new one before the
 * old one ends), applies what the manager says about the cluster to DNS, data
 * path and resolv.conf, and knows the truth about all of it.
 */
#ifndef TP_DAEMON_SESSION_H
#define TP_DAEMON_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "daemon/session_state.h"

struct datapath;
struct dns;
struct tunnel;
struct tunnel_open;
struct tunnel_stream;
struct json_object;
struct proxy;
struct resolvconf;
struct session;

/* What a session works with; all borrowed, all may be absent (tests). */
struct session_env {
    uv_loop_t *loop;
    struct dns *dns;
    struct datapath *datapath;
    struct proxy *proxy;
    const struct resolvconf *resolv;
    int state_fd; /* of memstate.h; -1: nothing is kept */
    uint32_t mark;
};

struct session *session_create(const struct session_env *env);
/* Ends the session as session_disconnect() does; with `keep` what it set up
 * stays as it is, for the next tp-daemon. */
void session_destroy(struct session *s, bool keep);

/* Starts SESSION of doc/control.md. 0 (then *already says that it ran), -EBUSY
 * if another one runs, -EINVAL; err filled. */
int session_connect(struct session *s, struct json_object *json, bool *already,
                    struct tp_error *err);
/* Starts what an earlier tp-daemon kept, if there is anything. */
void session_resume(struct session *s);
void session_disconnect(struct session *s);

enum session_state session_state(const struct session *s);
/* The last error: its code and text, "" if there is none. */
const char *session_error_code(const struct session *s);
const char *session_error_text(const struct session *s);
/* The status object; the caller owns it. */
struct json_object *session_status(const struct session *s);

/* Asks the manager for a sign of life; session_silence() then says for how many
 * ms one is awaited, 0 if none is or there is no link. */
#define SESSION_SILENT_MS 500 /* worth telling */
void session_probe(struct session *s);
int64_t session_silence(const struct session *s);

/* Told of each change with a line for a person, until removed. */
struct session_watcher {
    struct session_watcher *prev, *next;
    void (*changed_cb)(void *arg, const char *progress);
    void *arg;
};
void session_add_watcher(struct session *s, struct session_watcher *w);
void session_remove_watcher(struct session *s, struct session_watcher *w);

/* What the engagements hear of a session; see engagement.h. */
struct session_engagements {
    /* The outgoing link's tunnel from now on; NULL: there is none. `able`: its
     * manager knows engagements. */
    void (*linked_cb)(void *arg, struct tunnel *t, bool able);
    /* The manager says something of an engagement, borrowed. */
    void (*event_cb)(void *arg, struct json_object *engagement);
    /* A stream on the incoming link; as tunnel_ops.open_cb. */
    int (*open_cb)(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open);
    /* The incoming link came or went. */
    void (*incoming_cb)(void *arg);
    /* A session begins; `kept` are those of an earlier tp-daemon, borrowed, or
     * NULL. */
    void (*begun_cb)(void *arg, struct json_object *kept);
    /* It is over. */
    void (*ended_cb)(void *arg);
};
void session_set_engagements(struct session *s,
                             const struct session_engagements *ops, void *arg);
/* Keeps an incoming link while it is wanted and the session is connected. */
void session_want_incoming(struct session *s, bool want);
bool session_has_incoming(const struct session *s);
/* Why there is none, "" if that is not known. */
const char *session_incoming_error(const struct session *s);
/* For the next tp-daemon, in the memory file. Takes the array. */
void session_keep_engagements(struct session *s, struct json_object *array);
/* The namespace that it works in. */
const char *session_namespace(const struct session *s);

/* What `tp volume install` made: {"cert", "key", "peer"}, PEM; NULL: it has
 * not, or there is no session. Borrowed. */
struct json_object *session_volume_keys(const struct session *s);

/* The exec helper: need_cb is called when fresh credentials are wanted, at most
 * once in 5 s. NULL: it is gone. */
void session_set_helper(struct session *s, void (*need_cb)(void *arg),
                        void *arg);
/* What the helper sent. */
int session_set_credentials(struct session *s, struct json_object *credentials,
                            struct tp_error *err);
void session_helper_failed(struct session *s, const char *why);

#endif
