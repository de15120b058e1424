/*
 * testagent.c - the agent's data path, and nothing else of tp-agent
 *
 *   netns-agent init|run POD-IP4 POD-IP6|- PORT[/udp]:LISTEN:named|redirect...
 *   netns-agent remove
 *
 * init installs the rules, remove removes them. run: USR1 writes the state as
 * one line of JSON to standard output, TERM ends in order.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/path.h"
#include "agent/rules.h"
#include "base/log.h"

struct program {
    uv_loop_t loop;
    struct agent_path *path;
    struct agent_port_config ports[AGENT_PORTS_MAX];
    struct agent_path_config config;
    uv_signal_t usr1, term;
};

static long rss_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long size = 0, pages = 0;

    if (f) {
        if (fscanf(f, "%ld %ld", &size, &pages) != 2)
            pages = 0;
        fclose(f);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void on_usr1(uv_signal_t *signal, int number)
{
    struct program *p = signal->data;
    struct agent_path_stats s;
    unsigned long long conns = 0;

    (void)number;
    agent_path_get_stats(p->path, &s);
    for (unsigned i = 0; i < s.n_ports; i++)
        conns += s.ports[i].conns;
    printf("{\"running\": %u, \"refused\": %llu, \"conns\": %llu, "
           "\"rss_kib\": %ld}\n",
           s.running, (unsigned long long)s.refused, conns, rss_kib());
    fflush(stdout);
}

static void on_term(uv_signal_t *signal, int number)
{
    struct program *p = signal->data;

    (void)number;
    agent_path_destroy(p->path);
    uv_close((uv_handle_t *)&p->usr1, NULL);
    uv_close((uv_handle_t *)&p->term, NULL);
}

static void watch(struct program *p, uv_signal_t *s, uv_signal_cb cb, int no)
{
    uv_signal_init(&p->loop, s);
    s->data = p;
    uv_signal_start(s, cb, no);
}

static int parse_port(struct agent_port_config *port, const char *text)
{
    char mode[16], protocol[8] = "tcp";
    unsigned from, to;

    if (sscanf(text, "%u/%7[a-z]:%u:%15s", &from, protocol, &to, mode) != 4 &&
        sscanf(text, "%u:%u:%15s", &from, &to, mode) != 3)
        return -1;
    port->port = (uint16_t)from;
    port->listen = (uint16_t)to;
    port->udp = !strcmp(protocol, "udp");
    port->mode = !strcmp(mode, "redirect") ? PORT_REDIRECT : PORT_NAMED;
    return 0;
}

static int parse(struct program *p, int argc, char **argv)
{
    if (argc < 3 || argc > 2 + AGENT_PORTS_MAX)
        return -1;
    if (sockaddr_parse(&p->config.pod_ip4, argv[0], 0) < 0)
        return -1;
    if (strcmp(argv[1], "-") != 0 &&
        sockaddr_parse(&p->config.pod_ip6, argv[1], 0) < 0)
        return -1;
    for (int i = 2; i < argc; i++) {
        if (parse_port(&p->ports[i - 2], argv[i]) < 0)
            return -1;
        p->config.n_ports++;
    }
    p->config.ports = p->ports;
    return 0;
}

static int run(struct program *p, struct tp_error *err)
{
    uv_loop_init(&p->loop);
    p->path = agent_path_create(&p->loop, &p->config, err);
    if (!p->path)
        return -1;
    watch(p, &p->usr1, on_usr1, SIGUSR1);
    watch(p, &p->term, on_term, SIGTERM);
    printf("ready\n");
    fflush(stdout);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    return uv_loop_close(&p->loop);
}

int main(int argc, char **argv)
{
    static struct program p;
    struct tp_error err = {.code = 0};
    int rc = -1;

    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && !strcmp(argv[1], "remove")) {
        rc = agent_rules_remove(&err);
    } else if (argc < 3 || parse(&p, argc - 2, argv + 2) < 0) {
        fprintf(stderr, "usage: see the head of testagent.c\n");
        return 2;
    } else if (!strcmp(argv[1], "init")) {
        rc = agent_rules_install(&p.config, &err);
    } else {
        rc = run(&p, &err);
    }
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    return rc < 0;
}
