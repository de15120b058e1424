/* The program's start: the table of services and their ports. */
#include "app.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct service {
    const char *name;
    uint16_t port;
    tcp_handler *handler;         /* of a TCP service with threads, */
    void (*start)(uint16_t port); /* or what starts another one */
};

static struct service services[] = {
    {"http", 8080, NULL, http_start},     {"echo", 9001, tcp_echo, NULL},
    {"source", 9002, tcp_source, NULL},   {"sink", 9003, tcp_sink, NULL},
    {"banner", 9004, tcp_banner, NULL},   {"reset", 9005, tcp_reset, NULL},
    {"observe", 9006, tcp_observe, NULL}, {"hang", 9007, tcp_hang, NULL},
    {"udp", 9001, NULL, udp_start},
};

#define SERVICES (sizeof(services) / sizeof(*services))

_Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: app [bind=ADDRESS] [SERVICE=PORT...]\nservices:");
    for (size_t i = 0; i < SERVICES; i++)
        fprintf(stderr, " %s=%u", services[i].name, services[i].port);
    fprintf(stderr, "\n");
    exit(2);
}

static void set_port(const char *argument)
{
    const char *value = strchr(argument, '=');
    if (!value)
        usage();
    size_t length = (size_t)(value - argument);
    if (length == 4 && strncmp(argument, "bind", 4) == 0) {
        net_bind_to(value + 1);
        return;
    }
    for (size_t i = 0; i < SERVICES; i++) {
        if (strlen(services[i].name) == length &&
            strncmp(services[i].name, argument, length) == 0) {
            services[i].port = (uint16_t)atoi(value + 1);
            return;
        }
    }
    usage();
}

static void start(const struct service *service)
{
    if (service->handler)
        tcp_start(service->port, service->handler);
    else
        service->start(service->port);
}

/* The first process of a container has no default reaction to a signal. */
static void quit(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        set_port(argv[i]);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, quit);
    signal(SIGINT, quit);
    pattern_init();
    for (size_t i = 0; i < SERVICES; i++)
        start(&services[i]);
    printf("app: ready\n");
    fflush(stdout);
    for (;;)
        pause();
}
