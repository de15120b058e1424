/*
 * docker_run.h - `-- docker run ...` in the shared namespace
 *
 * The container joins the session's network and gets the pod's variables. They
 * travel in a memory file (--env-file /dev/fd/N), never on a command line; what
 * such a file cannot hold (newlines) goes by docker's own environment ("-e
 * NAME" without a value), except names that would steer the docker program
 * itself. What Docker refuses together with a joined network is refused here,
 * with what to do instead.
 */
#ifndef TP_CLI_DOCKER_RUN_H
#define TP_CLI_DOCKER_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct json_object;
struct limits;

struct docker_run {
    char **argv; /* NULL-terminated, owned */
    char **envp; /* the same */
    int env_fd;  /* the memory file, inherited by docker; -1: none */
    bool detached;
    bool own_cpus, own_memory;      /* the user himself limits them */
    struct json_object *own_mounts; /* paths that the user mounts; owned */
    size_t left_out; /* variables that could not be handed over */
};

/* True for a command line "docker run ..." (any path; docker container run). */
bool docker_run_is(char *const *words);

/* words: "docker run ..."; daemon: the session's container; env, limits and
 * volumes ([{"name", "path", "readOnly"}]) may be NULL. A limit that the user's
 * own flags set is left to them. 0 or -EINVAL with err filled. Release in any
 * case. */
int docker_run_build(struct docker_run *out, char *const *words,
                     const char *daemon, struct json_object *env,
                     const struct limits *limits, struct json_object *volumes,
                     struct tp_error *err);
void docker_run_release(struct docker_run *run);

/* tp's environment with env's variables over it, for a program of this machine;
 * without those that steer the loader, shells or tp's own helpers (counted in
 * *left_out). Owned, as its strings. NULL if out of memory. */
char **docker_run_environ(struct json_object *env, size_t *left_out);
void docker_run_free_words(char **words);

#endif
