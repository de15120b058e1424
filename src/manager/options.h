/*
 * options.h - what tp-manager is told at start
 *
 * One table (options.c) is the list of flags; README.md explains them. Each can
 * come from the environment as TP_MANAGER_<FLAG>; the command line wins.
 */
#ifndef TP_MANAGER_OPTIONS_H
#define TP_MANAGER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "base/sockaddr.h"
#include "manager/subnets.h"

struct options {
    union sockaddr_any listen, metrics;
    union sockaddr_any listen_agents, listen_webhook; /* family 0: off */
    union sockaddr_any listen_direct;                 /* likewise */
    char *direct_endpoints;
    char *ns;
    char *service;
    char *apiservice, *webhook;
    char *ca_cert, *ca_key, *tls_cert, *tls_key;
    char *client_config, *agent_config;
    struct subnets service_subnets, pod_subnets, also_subnets;
    struct subnets dial_allow, dial_allow_node;
    bool dial_scoped; /* to namespaces where the user may connect */
    char *cluster_domain;
    union sockaddr_any dns_address; /* family 0: not given */
    char *dns_search;
    bool any_front_proxy_name;
    uint64_t link_rate;     /* bytes a second, each way; 0: no limit */
    uint64_t direct_rate;   /* the same of direct links */
    unsigned link_lifetime; /* seconds; 0: for ever */
    unsigned link_max;      /* of one user; 0: no limit */
    unsigned drain;         /* seconds that connections have after SIGTERM */
    bool switch_services;
    enum log_level log_level;
    bool show_help, show_version;
};

/* Defaults, environment, command line, checks. Release also after a failure. */
int options_parse(struct options *o, int argc, char **argv,
                  struct tp_error *err);
void options_release(struct options *o);

void options_print_help(FILE *out);

#endif
