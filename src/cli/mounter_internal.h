/* mounter_internal.h - between the files of the mounter */
#ifndef TP_CLI_MOUNTER_INTERNAL_H
#define TP_CLI_MOUNTER_INTERNAL_H

#include "cli/mounter.h"

/* How a connection's process ends. */
enum mounter_outcome {
    MOUNTER_CARRIED, /* there was a conversation, or all is as it was */
    MOUNTER_FAILED,  /* not now */
    MOUNTER_GONE,    /* there is no such engagement any more */
};

/* What a connection needs to know. */
struct mounter_files {
    const struct mounter_plan *plan;
    char *key;    /* PEM */
    int broker;   /* our end of tp-mount's; -1 */
    bool retried; /* the last ones failed, too: take your time */
};

/* mounter_conn.c, each to be called in a process of its own. */

/* A connection for tp-mount, which has asked the broker for it. */
enum mounter_outcome mounter_carry_mount(const struct mounter_files *f);
/* One that came to the port. */
enum mounter_outcome mounter_carry_client(const struct mounter_files *f,
                                          int fd);
/* Is the engagement still there? */
enum mounter_outcome mounter_check(const struct mounter_files *f);

/* mounter_files.c: what clients of the port read: key, known_hosts, config. */
int mounter_write_files(const struct mounter_plan *plan, const char *key,
                        const char *hostkey, struct tp_error *err);
/* Each connection may be to another pod. */
int mounter_write_known(const struct mounter_plan *plan, const char *hostkey,
                        struct tp_error *err);
/* The private key (owned) and today's host key of the engagement. */
int mounter_ask_key(const struct mounter_plan *plan, char **key, char **hostkey,
                    struct tp_error *err);

#endif
