/*
 * link_dial.c - the far end of a client's TCP and UDP conversations
 *
 * Until it is its turn (dial_turns.h) the stream's user is a `struct dial`;
 * then tunnel/serve.h dials.
 */
#include <errno.h>
#include <stdlib.h>

#include "manager/audit.h"
#include "manager/info.h"
#include "manager/link_internal.h"
#include "manager/metrics.h"
#include "manager/policy.h"
#include "manager/scope.h"
#include "tunnel/serve.h"

/* The kernel gives up after 127 s (tcp_syn_retries 6) and so does a program in
 * a pod; the truth should come from there. */
#define CONNECT_MS  130000
#define UDP_IDLE_MS 60000
#define DNS_IDLE_MS 10000

struct dial {
    struct dial_job job; /* first: a job is its dial */
    struct link *link;
    struct tunnel_stream *stream;
    struct tunnel_serve_config config;
    struct scope_check scope;
};

static void count(struct link *link, int error)
{
    link->links->env.metrics->dials[metrics_dial_outcome(error)]++;
}

/* ---- policy ------------------------------------------------------------ */

static void audit_denial(struct link *link, bool udp,
                         const union sockaddr_any *addr,
                         enum policy_verdict verdict)
{
    char text[SOCKADDR_TEXT];

    if (!bucket_take(&link->denials, uv_now(link->links->env.loop))) {
        link->suppressed++;
        return;
    }
    audit_write(&(struct audit_event){
        .event = "dial",
        .who = &link->who,
        .verb = udp ? "udp" : "tcp",
        .ns = link->ns,
        .name = link->name,
        .destination = sockaddr_format(addr, text),
        .allowed = false,
        .reason = policy_verdict_name(verdict),
        .suppressed = link->suppressed,
    });
    link->suppressed = 0;
}

static int check(struct link *link, const struct tunnel_open *open)
{
    enum policy_verdict verdict =
        policy_check(link->links->env.policy, &open->addr);

    if (verdict != POLICY_ALLOWED) {
        link->links->env.metrics->denied[verdict]++;
        audit_denial(link, open->kind == TUNNEL_UDP, &open->addr, verdict);
        return -EACCES;
    }
    if (!bucket_take(&link->dials, uv_now(link->links->env.loop)))
        return -EMFILE;
    return 0;
}

/* ---- waiting ----------------------------------------------------------- */

/* The client went away before it was its turn. */
static void dial_closed_cb(void *arg, int status)
{
    struct dial *d = arg;

    (void)status;
    scope_cancel(&d->scope);
    dial_turns_cancel(&d->link->links->turns, &d->job);
    free(d);
}

static void dial_eof_cb(void *arg)
{
    struct dial *d = arg;

    d->config.eof = true;
}

static const struct tunnel_stream_ops dial_ops = {
    .pull_cb = tunnel_hold_pull,
    .push_cb = tunnel_hold_push,
    .eof_cb = dial_eof_cb,
    .closed_cb = dial_closed_cb,
};

/* ---- the turn ---------------------------------------------------------- */

static void dialled_cb(void *arg, int status)
{
    count(arg, status);
}

static void start_cb(struct dial_job *job)
{
    static const struct tunnel_serve_ops ops = {.dialled_cb = dialled_cb};
    struct dial *d = (struct dial *)job;
    int rc;

    tunnel_stream_set_user(d->stream, NULL, NULL);
    rc = tunnel_serve(d->link->links->env.loop, d->stream, &d->config, &ops,
                      d->link);
    if (rc < 0)
        tunnel_stream_answer(d->stream, rc);
    free(d);
}

/* ---- whose namespace it is (dial.scope) -------------------------------- */

/* What every pod of every namespace reaches and needs. */
static bool is_common(const struct info *info, const union sockaddr_any *addr)
{
    union sockaddr_any known;

    return info && ((sockaddr_parse(&known, info->dns.address, 53) == 0 &&
                     sockaddr_equal(&known, addr)) ||
                    (sockaddr_parse(&known, info->apiserver, 443) == 0 &&
                     sockaddr_equal(&known, addr)));
}

static void refuse(struct dial *d, int status)
{
    struct link *link = d->link;

    if (status == -EACCES) {
        link->links->env.metrics->denied[POLICY_SCOPE]++;
        audit_denial(link, d->config.udp, &d->config.addr, POLICY_SCOPE);
    }
    count(link, status);
}

static void scope_known_cb(void *arg, int status)
{
    struct dial *d = arg;

    if (status == 0) {
        dial_turns_submit(&d->link->links->turns, &d->link->share, &d->job);
        return;
    }
    refuse(d, status);
    tunnel_stream_set_user(d->stream, NULL, NULL);
    tunnel_stream_answer(d->stream, status);
    free(d);
}

/* 0: go on, -EINPROGRESS: later, or why not. */
static int ask_scope(struct dial *d)
{
    const struct links_env *env = &d->link->links->env;
    const union sockaddr_any *addr = &d->config.addr;

    if (!env->scope || subnets_contain(&env->policy->unscoped, addr) ||
        is_common(env->info, addr))
        return 0;
    return scope_start(env->scope, &d->scope, d->link, addr, scope_known_cb, d);
}

int link_dial(struct link *link, struct tunnel_stream *s,
              const struct tunnel_open *open)
{
    unsigned idle = open->port == 53 ? DNS_IDLE_MS : UDP_IDLE_MS;
    struct tunnel_open unmapped = *open;
    struct dial *d;
    int rc;

    /* The address that is checked is the one that is connected. */
    sockaddr_unmap(&unmapped.addr);
    rc = check(link, &unmapped);
    if (rc < 0) {
        count(link, rc);
        return rc;
    }
    d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    *d = (struct dial){.job.start_cb = start_cb,
                       .link = link,
                       .stream = s,
                       .config = {.addr = unmapped.addr,
                                  .udp = open->kind == TUNNEL_UDP,
                                  .timeout_ms = CONNECT_MS,
                                  .idle_ms = idle}};
    rc = ask_scope(d);
    if (rc < 0 && rc != -EINPROGRESS) {
        refuse(d, rc);
        free(d);
        return rc;
    }
    tunnel_stream_set_user(s, &dial_ops, d);
    if (rc == 0)
        dial_turns_submit(&link->links->turns, &link->share, &d->job);
    return 0;
}
