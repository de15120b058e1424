/*
 * testdaemon.c - the data path and a link, and nothing else of tp-daemon
 *
 *   netns-daemon run PEER CAPTURE,... BYPASS,...|- DNS|-
 *   netns-daemon fail-closed
 *   netns-daemon routes
 *
 * A CAPTURE "REAL=VIRTUAL" is captured by virtual addresses.
 *
 * Signals: USR1 writes the state as one line of JSON to standard output, TERM
 * ends in order, HUP drops the link (a new one comes a second later), USR2
 * captures only the first subnet, or all again.
 * The dns module is a stand-in: it answers a query by "dns:" and the query.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/datapath.h"
#include "daemon/dns.h"
#include "daemon/route_list.h"
#include "daemon/vnat.h"
#include "net/dial.h"

#define MAX_SUBNETS 64

struct program {
    uv_loop_t loop;
    struct datapath *dp;
    struct tunnel *tunnel, *former;
    struct connect_op *op;
    union sockaddr_any peer;
    uv_timer_t redial;
    uv_signal_t usr1, usr2, term, hup, winch;
    struct subnet capture[MAX_SUBNETS], bypass[MAX_SUBNETS];
    struct vnat_pair pairs[MAX_SUBNETS];
    struct vnat vnat;
    size_t n_capture;
    struct datapath_routes routes;
};

/* --- the stand-in of the dns module ------------------------------------- */

void dns_query(struct dns *d, const void *msg, size_t len, dns_reply_cb *cb,
               void *arg)
{
    char answer[1024];
    int n = snprintf(answer, sizeof(answer), "dns:%.*s", (int)len,
                     (const char *)msg);

    (void)d;
    if (len && *(const char *)msg != '-') /* "-": never answered */
        cb(arg, answer, (size_t)n);
}

void dns_cancel(struct dns *d, void *arg)
{
    (void)d;
    (void)arg;
}

void dns_serve_tcp(struct dns *d, int fd)
{
    (void)d;
    if (write(fd, "dns-tcp", 7) < 0)
        perror("dns-tcp");
    close(fd);
}

/* --- the link ----------------------------------------------------------- */

static void dial(struct program *p);

static void on_redial(uv_timer_t *timer)
{
    dial(timer->data);
}

static void lose_link(struct program *p)
{
    struct tunnel *t = p->tunnel;

    datapath_set_tunnel(p->dp, NULL);
    p->tunnel = NULL;
    tunnel_destroy(t);
    uv_timer_start(&p->redial, on_redial, 1000, 0);
}

static void on_link_closed(void *arg, int status, const char *why)
{
    struct program *p = arg;

    log_info("link ended: %d %s", status, why ? why : "");
    if (p->former) { /* drained: it ends before the one in use */
        tunnel_destroy(p->former);
        p->former = NULL;
        return;
    }
    lose_link(p);
}

static const struct tunnel_ops link_ops = {.closed_cb = on_link_closed};

static void on_connected(void *arg, int status, int fd)
{
    const struct tunnel_config config = {.role = TUNNEL_CLIENT,
                                         .ping_ms = 2000};
    struct program *p = arg;
    struct stream *s;

    p->op = NULL;
    if (status < 0) {
        uv_timer_start(&p->redial, on_redial, 1000, 0);
        return;
    }
    s = stream_create_fd(&p->loop, fd);
    if (s)
        p->tunnel = tunnel_create(&p->loop, s, &config, &link_ops, p);
    if (!p->tunnel)
        abort();
    datapath_set_tunnel(p->dp, p->tunnel);
    log_info("link up");
}

static void dial(struct program *p)
{
    p->op = connect_start(&p->loop, &p->peer, DATAPATH_BYPASS_MARK, 3000,
                          on_connected, p);
}

/* --- signals ------------------------------------------------------------ */

static unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

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
    struct datapath_stats s;
    struct tunnel_stats t = {0};

    (void)number;
    datapath_get_stats(p->dp, &s);
    if (p->tunnel)
        tunnel_get_stats(p->tunnel, &t);
    printf("{\"tcp\": %u, \"pending\": %u, \"udp\": %u, \"opened\": %llu, "
           "\"refused\": %llu, \"hold\": \"%s\", \"fds\": %u, "
           "\"rss_kib\": %ld, \"streams\": %u, \"dialled\": %llu, "
           "\"link\": %s, \"former\": %s}\n",
           s.tcp, s.pending, s.udp, (unsigned long long)s.opened,
           (unsigned long long)s.refused, s.hold, count_fds(), rss_kib(),
           t.streams, (unsigned long long)(t.opened + t.refused + t.reset),
           p->tunnel ? "true" : "false", p->former ? "true" : "false");
    fflush(stdout);
}

static void on_hup(uv_signal_t *signal, int number)
{
    struct program *p = signal->data;

    (void)number;
    if (p->tunnel)
        lose_link(p);
}

/* The link is drained; the next one comes a little later. */
static void on_winch(uv_signal_t *signal, int number)
{
    struct program *p = signal->data;

    (void)number;
    p->former = p->tunnel;
    tunnel_drain(p->former);
    uv_timer_start(&p->redial, on_redial, 300, 0);
}

static void on_usr2(uv_signal_t *signal, int number)
{
    struct program *p = signal->data;
    struct tp_error err;
    size_t all = p->n_capture;

    (void)number;
    p->routes.n_capture = p->routes.n_capture == all ? 1 : all;
    if (datapath_set_routes(p->dp, &p->routes, &err) < 0)
        log_error("%s", err.text);
    printf("routes\n");
    fflush(stdout);
}

static void on_term(uv_signal_t *signal, int number)
{
    struct program *p = signal->data;

    (void)number;
    datapath_set_tunnel(p->dp, NULL);
    if (p->tunnel)
        tunnel_destroy(p->tunnel);
    tunnel_destroy(p->former);
    if (p->op)
        connect_cancel(p->op);
    datapath_destroy(p->dp, false);
    uv_close((uv_handle_t *)&p->redial, NULL);
    uv_close((uv_handle_t *)&p->usr1, NULL);
    uv_close((uv_handle_t *)&p->usr2, NULL);
    uv_close((uv_handle_t *)&p->hup, NULL);
    uv_close((uv_handle_t *)&p->winch, NULL);
    uv_close((uv_handle_t *)&p->term, NULL);
}

static void watch(struct program *p, uv_signal_t *s, uv_signal_cb cb, int no)
{
    uv_signal_init(&p->loop, s);
    s->data = p;
    uv_signal_start(s, cb, no);
}

/* --- main --------------------------------------------------------------- */

/* "REAL=VIRTUAL"; false if it is no such pair. */
static bool parse_pair(struct program *p, struct subnet *virtual, char *text)
{
    char *other = strchr(text, '=');
    struct vnat_pair *pair = &p->pairs[p->vnat.n];

    if (!other)
        return false;
    *other++ = '\0';
    if (subnet_parse(&pair->real, text) < 0 ||
        subnet_parse(&pair->virt, other) < 0)
        return false;
    *virtual = pair->virt;
    p->vnat.n++;
    return true;
}

static size_t parse_subnets(struct program *p, struct subnet *nets, char *text)
{
    size_t n = 0;

    for (char *one = strtok(text, ","); one; one = strtok(NULL, ",")) {
        if (n < MAX_SUBNETS && (parse_pair(p, &nets[n], one) ||
                                subnet_parse(&nets[n], one) == 0)) {
            n++;
        } else {
            fprintf(stderr, "bad subnet: %s\n", one);
            exit(2);
        }
    }
    return n;
}

static void parse(struct program *p, char **argv)
{
    p->routes.capture = p->capture;
    p->vnat.pairs = p->pairs;
    p->routes.vnat = &p->vnat;
    p->routes.bypass = p->bypass;
    p->n_capture = parse_subnets(p, p->capture, argv[1]);
    p->routes.n_capture = p->n_capture;
    if (strcmp(argv[2], "-") != 0)
        p->routes.n_bypass = parse_subnets(p, p->bypass, argv[2]);
    if (sockaddr_parse_hostport(&p->peer, argv[0]) < 0 ||
        (strcmp(argv[3], "-") != 0 &&
         sockaddr_parse(&p->routes.dns, argv[3], 53) < 0)) {
        fprintf(stderr, "bad address\n");
        exit(2);
    }
}

static int run(struct program *p, struct tp_error *err)
{
    uv_loop_init(&p->loop);
    p->dp = datapath_create(&p->loop, (struct dns *)p, err);
    if (!p->dp)
        return -1;
    if (datapath_set_routes(p->dp, &p->routes, err) < 0)
        return -1;
    uv_timer_init(&p->loop, &p->redial);
    p->redial.data = p;
    watch(p, &p->usr1, on_usr1, SIGUSR1);
    watch(p, &p->usr2, on_usr2, SIGUSR2);
    watch(p, &p->hup, on_hup, SIGHUP);
    watch(p, &p->winch, on_winch, SIGWINCH);
    watch(p, &p->term, on_term, SIGTERM);
    dial(p);
    printf("ready\n");
    fflush(stdout);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    return uv_loop_close(&p->loop);
}

static int print_routes(struct tp_error *err)
{
    struct subnet_list list = {0};
    char text[SUBNET_TEXT];
    int rc = route_list_read(&list, err);

    for (size_t i = 0; i < list.n; i++)
        puts(subnet_format(&list.nets[i], text));
    subnet_list_release(&list);
    return rc;
}

int main(int argc, char **argv)
{
    const struct rlimit files = {65536, 65536};
    static struct program p;
    struct tp_error err = {0};

    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_NOFILE, &files);
    log_set_level(getenv("TP_DEBUG") ? LOG_DEBUG : LOG_INFO);
    if (argc == 2 && !strcmp(argv[1], "fail-closed")) {
        if (datapath_fail_closed(&err) == 0)
            return 0;
    } else if (argc == 2 && !strcmp(argv[1], "routes")) {
        if (print_routes(&err) == 0)
            return 0;
    } else if (argc == 6 && !strcmp(argv[1], "run")) {
        parse(&p, argv + 2);
        if (run(&p, &err) == 0)
            return 0;
    } else {
        fprintf(stderr, "usage: netns-daemon run PEER CAPTURE BYPASS DNS, "
                        "fail-closed, routes\n");
        return 2;
    }
    fprintf(stderr, "%s\n", err.text);
    return 1;
}
