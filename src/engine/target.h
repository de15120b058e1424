/*
 * target.h - which Docker Engine is meant
 *
 * As the docker program chooses: DOCKER_HOST; else the context named by
 * DOCKER_CONTEXT or by currentContext of ~/.docker/config.json (DOCKER_CONFIG
 * names another directory); else /var/run/docker.sock, and where that is not
 * ours to use, the rootless engine's $XDG_RUNTIME_DIR/docker.sock.
 */
#ifndef TP_ENGINE_TARGET_H
#define TP_ENGINE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum engine_kind {
    ENGINE_UNIX,
    ENGINE_TCP,
    ENGINE_TLS,
    ENGINE_SSH, /* "ssh HOST docker system dial-stdio" */
};

/* All strings owned. */
struct engine_target {
    enum engine_kind kind;
    char *url;    /* for messages */
    char *origin; /* "DOCKER_HOST", "Docker context 'x'", or "" */
    char *path;   /* unix socket; with ssh the far one, or NULL */
    char *host;
    uint16_t port;                        /* 0: ssh's own default */
    char *user;                           /* ssh; or NULL */
    char *ca_file, *cert_file, *key_file; /* NULL: not used */
    bool insecure;                        /* TLS without verification */
};

/* 0, or a negative errno with err filled. t must be released in both cases. */
int engine_target_find(struct engine_target *t, struct tp_error *err);

/* "unix:///path", "tcp://host[:port]", "http://", "https://", "ssh://...". */
int engine_target_parse(struct engine_target *t, const char *url,
                        struct tp_error *err);

void engine_target_release(struct engine_target *t);

#endif
