/* common_options.h - rows that several commands' tables share */
#ifndef TP_CLI_COMMON_OPTIONS_H
#define TP_CLI_COMMON_OPTIONS_H

#include "cli/cli.h"
#include "cli/client_config.h"
#include "kube/kubeconfig.h"

#define OPTION_NAME                                                            \
    {                                                                          \
        .name = "name", .arg = "NAME",                                         \
        .help = "name of the session's container (default tp-daemon)"          \
    }

#define OPTIONS_KUBE                                                           \
    {.name = "namespace",                                                      \
     .letter = 'n',                                                            \
     .arg = "NS",                                                              \
     .help = "namespace to work in (default: the context's)"},                 \
        {.name = "context",                                                    \
         .arg = "NAME",                                                        \
         .help = "context of the kubeconfig (default: the current one)"},      \
    {                                                                          \
        .name = "kubeconfig", .arg = "FILE",                                   \
        .help = "kubeconfig to use (default $KUBECONFIG, ~/.kube/config)"      \
    }

#define OPTIONS_ROUTING                                                        \
    {.name = "also-proxy",                                                     \
     .arg = "CIDR",                                                            \
     .help = "reach this subnet through the cluster, too",                     \
     .repeatable = true},                                                      \
        {.name = "never-proxy",                                                \
         .arg = "CIDR",                                                        \
         .help = "never reach this subnet through the cluster",                \
         .repeatable = true},                                                  \
        {.name = "allow-conflicting-subnets",                                  \
         .arg = "CIDR",                                                        \
         .help = "take a cluster subnet although this host has it, too",       \
         .repeatable = true},                                                  \
        {.name = "vnat",                                                       \
         .arg = "CIDR|KIND|off",                                               \
         .help = "reach this subnet by virtual addresses (service, pods, "     \
                 "also, all); off: refuse those that this host has, too",      \
         .repeatable = true},                                                  \
    {                                                                          \
        .name = "virtual-subnet", .arg = "CIDR",                               \
        .help = "where virtual addresses are taken from (default "             \
                "246.0.0.0/8)",                                                \
        .repeatable = true                                                     \
    }

#define OPTIONS_DNS                                                            \
    {.name = "dns-include",                                                    \
     .arg = "DOMAIN",                                                          \
     .help = "ask the cluster for names of this domain, too",                  \
     .repeatable = true},                                                      \
        {.name = "dns-exclude",                                                \
         .arg = "DOMAIN",                                                      \
         .help = "never ask the cluster for names of this domain",             \
         .repeatable = true},                                                  \
        {.name = "dns-mapping",                                                \
         .arg = "NAME=TARGET",                                                 \
         .help = "this name is that other name, or that address",              \
         .repeatable = true},                                                  \
    {                                                                          \
        .name = "mapped-namespaces", .arg = "NS,...",                          \
        .help = "only names of these namespaces, and of its own",              \
        .repeatable = true                                                     \
    }

#define OPTION_MANAGER_NAMESPACE                                               \
    {                                                                          \
        .name = "manager-namespace", .arg = "NS",                              \
        .help = "where the chart is installed (default tp-system)"             \
    }

/* --name, checked. NULL with err filled. Borrowed. */
const char *common_name(const struct cli *cli, struct tp_error *err);

/* The context that the flags choose. ctx must be released in any case. */
int common_load_kube(const struct cli *cli, struct kube_context *ctx,
                     struct tp_error *err);

/* The layers of configuration that this machine has; kube may be NULL. */
int common_load_config(const struct cli *cli, const struct kube_context *kube,
                       struct client_config *config, struct tp_error *err);

#endif
