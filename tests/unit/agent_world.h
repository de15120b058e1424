/*
 * agent_world.h - for the agent's tests: an agent's data path, an app, and a
 * workstation at the far end of a real link
 *
 * All on loopback and in the loop of `pair`, but the tests' own sockets, which
 * block: clients, the app, the local program of the workstation. What the
 * agent opens on the link goes by the engagement's id: INTERCEPT to
 * `workstation`, MIRROR(i) to `mirror[i]`.
 */
#ifndef TP_TESTS_AGENT_WORLD_H
#define TP_TESTS_AGENT_WORLD_H

#include "agent/path.h"
#include "tunnel_pair.h"

#define INTERCEPT "interceptinterceptintercep"
#define SECOND    "secondsecondsecondsecondse"
#define MIRROR_0  "mirrormirrormirrormirrorm0"
#define MIRROR_1  "mirrormirrormirrormirrorm1"

enum far_answer { FAR_SERVES, FAR_REFUSES, FAR_SILENT };

struct world {
    struct agent_path *path;
    struct agent_port_config port;
    struct agent_path_config config;
    int app, workstation, mirror[2];
    union sockaddr_any app_addr, workstation_addr, mirror_addr[2];
    enum far_answer intercept, second, mirrors;
    unsigned silent; /* streams that wait for an answer */
    int drained;
};

extern struct pair pair;
extern struct world world;

/* The app listens on a free port of 127.0.0.1 (TCP, or UDP if udp), and the
 * agent has one port for it, in `mode`. */
void world_init(bool udp, enum agent_port_mode mode);
/* Destroys everything; the loop must be empty then. */
void world_close(void);

void engage(const struct agent_engagement *list, size_t n);
/* One of the ids on the agent's only port. */
struct agent_engagement engagement(const char *id,
                                   enum agent_engagement_type type);
void engage_one(const char *id, enum agent_engagement_type type);

struct agent_path_stats world_stats(void);

/* A client of the agent's i-th port. */
int client_connect(size_t i);
/* The next connection of a listener; the loop runs until it is there. */
int accept_on(int listener);
bool readable(int fd);
/* Reads exactly this text, resp. the end, resp. a reset. */
void expect_text(int fd, const char *text);
void expect_end(int fd);
void expect_reset(int fd);
void say(int fd, const char *text);
void reset_socket(int fd);

#endif
