#include "manager/metrics.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manager/engage_spec.h"

static const char *const dial_names[] = {
    [DIAL_OK] = "ok",
    [DIAL_REFUSED] = "refused",
    [DIAL_UNREACHABLE] = "unreachable",
    [DIAL_TIMEOUT] = "timeout",
    [DIAL_DENIED] = "denied",
    [DIAL_LIMIT] = "limit",
    [DIAL_ERROR] = "error",
};
static_assert(sizeof(dial_names) / sizeof(*dial_names) == DIAL_OUTCOMES, "");

static const char *const review_names[] = {
    [REVIEW_ALLOWED] = "allowed",
    [REVIEW_DENIED] = "denied",
    [REVIEW_ERROR] = "error",
};
static_assert(sizeof(review_names) / sizeof(*review_names) == REVIEW_RESULTS,
              "");

enum dial_outcome metrics_dial_outcome(int error)
{
    switch (error) {
    case 0:
        return DIAL_OK;
    case -ECONNREFUSED:
        return DIAL_REFUSED;
    case -EHOSTUNREACH:
    case -ENETUNREACH:
        return DIAL_UNREACHABLE;
    case -ETIMEDOUT:
        return DIAL_TIMEOUT;
    case -EACCES:
        return DIAL_DENIED;
    case -EMFILE:
        return DIAL_LIMIT;
    default:
        return DIAL_ERROR;
    }
}

enum review_result metrics_review_result(int status)
{
    if (status == 0)
        return REVIEW_ALLOWED;
    return status == -EACCES ? REVIEW_DENIED : REVIEW_ERROR;
}

static void put_head(FILE *f, const char *name, const char *type,
                     const char *help)
{
    fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(FILE *f, const char *name, const char *type,
                    const char *help, uint64_t value)
{
    put_head(f, name, type, help);
    fprintf(f, "%s %" PRIu64 "\n", name, value);
}

static void put_row(FILE *f, const char *name, const char *label,
                    const char *member, uint64_t value)
{
    fprintf(f, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, member, value);
}

static uint64_t resident_bytes(void)
{
    cleanup_file FILE *f = fopen("/proc/self/statm", "re");
    unsigned long size, resident;

    if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
        return 0;
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void put_dials(FILE *f, const char *name, const char *help,
                      const uint64_t dials[DIAL_OUTCOMES])
{
    put_head(f, name, "counter", help);
    for (unsigned i = 0; i < DIAL_OUTCOMES; i++)
        put_row(f, name, "result", dial_names[i], dials[i]);
}

static void put_reviews(FILE *f, const char *name, const char *help,
                        const uint64_t reviews[REVIEW_RESULTS])
{
    put_head(f, name, "counter", help);
    for (unsigned i = 0; i < REVIEW_RESULTS; i++)
        put_row(f, name, "result", review_names[i], reviews[i]);
}

static void put_engagements(FILE *f, const struct metrics *m)
{
    put_head(f, "tp_engagements", "gauge", "Engagements in the cluster.");
    for (unsigned i = ENGAGEMENT_INTERCEPT; i <= ENGAGEMENT_INGEST; i++)
        put_row(f, "tp_engagements", "type",
                engagement_type_name((enum engagement_type)i),
                m->engagements[i]);
}

static void put_tables(FILE *f, const struct metrics *m)
{
    put_dials(f, "tp_dials_total", "Dials for users by result.", m->dials);
    put_dials(f, "tp_engaged_streams_total",
              "Engaged connections of agents by result.", m->engaged);
    put_dials(f, "tp_topod_streams_total",
              "Connections to pods' localhost by result.", m->to_pod);
    put_head(f, "tp_denied_total", "counter",
             "Dials that the policy denied, by reason.");
    for (unsigned i = POLICY_ALLOWED + 1; i < POLICY_VERDICTS; i++)
        put_row(f, "tp_denied_total", "reason",
                policy_verdict_name((enum policy_verdict)i), m->denied[i]);
    put_reviews(f, "tp_reviews_total", "SubjectAccessReviews by result.",
                m->reviews);
    put_reviews(f, "tp_agent_reviews_total", "Agents' tokens by result.",
                m->agent_reviews);
    put_head(f, "tp_bytes_total", "counter",
             "Payload of streams, from and to clients.");
    put_row(f, "tp_bytes_total", "direction", "in", m->bytes_in);
    put_row(f, "tp_bytes_total", "direction", "out", m->bytes_out);
}

char *metrics_format(const struct metrics *m)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return NULL;
    put_one(f, "tp_links", "gauge", "Links that are open.", m->links);
    put_one(f, "tp_links_incoming", "gauge",
            "Links among them that are for engagements.", m->links_incoming);
    put_one(f, "tp_links_total", "counter", "Links that were opened.",
            m->links_total);
    put_one(f, "tp_streams", "gauge", "Streams that are open.", m->streams);
    put_engagements(f, m);
    put_one(f, "tp_requests_refused_total", "counter",
            "Requests on the API port that were not authorized.", m->refused);
    put_one(f, "tp_agents", "gauge", "Pods whose agent is connected.",
            m->agents);
    put_one(f, "tp_agents_refused_total", "counter",
            "Requests on the agents' port that were refused.",
            m->agents_refused);
    put_tables(f, m);
    put_one(f, "process_resident_memory_bytes", "gauge",
            "Resident memory size in bytes.", resident_bytes());
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
