/*
 * proxy_option.h - tp connect --proxy [ADDR:]PORT: the host's way in
 *
 * The daemon listens in its namespace, Docker publishes that port on the host,
 * TCP and UDP. Only the engine opens anything on the machine.
 */
#ifndef TP_CLI_PROXY_OPTION_H
#define TP_CLI_PROXY_OPTION_H

#include <stdbool.h>

#include "base/error.h"

struct json_object;

struct proxy_option {
    struct json_object *session; /* "hostProxy" of doc/control.md; NULL: none */
    char *at;                    /* "127.0.0.1:1080" */
};

/* auth: a random password is made; without one the address must be the
 * loopback's. Adds the ports to exposed and bindings (publish.h). 0 or a
 * negative errno with err filled; release in any case. */
int proxy_option_parse(struct proxy_option *o, const char *text, bool auth,
                       struct json_object *exposed,
                       struct json_object *bindings, struct tp_error *err);
void proxy_option_release(struct proxy_option *o);

/* Docker did not publish the port, as err says: the reason for a user. True if
 * it was the proxy's port. */
bool proxy_option_explain(const struct proxy_option *o, struct tp_error *err);

/* Does a container (as inspected) publish the port as it is asked for? */
bool proxy_option_published(struct json_object *bindings,
                            struct json_object *container);

/* Adds "login": {"user", "password"} to the status' "proxy", for who has just
 * asked for a password. */
void proxy_option_add_login(const struct proxy_option *o,
                            struct json_object *status);
/* The same for people, on standard output. */
struct cli;
void proxy_option_report(const struct cli *cli, struct json_object *status);

#endif
