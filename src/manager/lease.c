#include "manager/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"

int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void lease_path(char out[LEASE_PATH_MAX], const char *ns, const char *name)
{
    snprintf(out, LEASE_PATH_MAX,
             "/apis/coordination.k8s.io/v1/namespaces/%s/leases%s%s", ns,
             *name ? "/" : "", name);
}

/* metav1.MicroTime */
static void format_now(char out[48])
{
    int64_t now = wall_ms();
    time_t seconds = (time_t)(now / 1000);
    char text[32];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 48, "%s.%03d000Z", text, (int)(now % 1000));
}

int64_t lease_time(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    int64_t ms = 0, unit = 100;

    if (!rest)
        return 0;
    if (*rest == '.') {
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            ms += (*rest - '0') * unit;
    }
    return strcmp(rest, "Z") != 0 ? 0 : (int64_t)timegm(&tm) * 1000 + ms;
}

void lease_renew(struct json_object *lease, const char *holder, int64_t seconds)
{
    struct json_object *spec = json_get(lease, "spec");
    char now[48];

    format_now(now);
    if (!spec) {
        spec = json_object_new_object();
        json_object_object_add(lease, "spec", spec);
    }
    if (strcmp(json_get_str(spec, "holderIdentity", ""), holder) != 0)
        json_put_str(spec, "acquireTime", now);
    json_put_str(spec, "holderIdentity", holder);
    json_put_str(spec, "renewTime", now);
    if (seconds > 0)
        json_object_object_add(spec, "leaseDurationSeconds",
                               json_object_new_int64(seconds));
}

struct json_object *lease_build(const char *name, const char *ns,
                                const char *holder, int64_t seconds)
{
    struct json_object *lease = json_object_new_object();
    struct json_object *metadata = json_object_new_object();

    json_put_str(metadata, "name", name);
    json_put_str(metadata, "namespace", ns);
    json_put_str(lease, "apiVersion", "coordination.k8s.io/v1");
    json_put_str(lease, "kind", "Lease");
    json_object_object_add(lease, "metadata", metadata);
    lease_renew(lease, holder, seconds);
    return lease;
}

bool lease_is_fresh(struct json_object *lease, int64_t now_ms)
{
    int64_t at = lease_time(json_get_str(lease, "spec.renewTime", ""));
    int64_t seconds = json_get_int(lease, "spec.leaseDurationSeconds", 0);

    return at > 0 && now_ms - at < seconds * 1000;
}

struct json_object *lease_precondition(struct json_object *lease)
{
    struct json_object *options = json_object_new_object();
    struct json_object *only = json_object_new_object();

    json_put_str(only, "uid", json_get_str(lease, "metadata.uid", NULL));
    json_put_str(only, "resourceVersion",
                 json_get_str(lease, "metadata.resourceVersion", NULL));
    json_put_str(options, "apiVersion", "v1");
    json_put_str(options, "kind", "DeleteOptions");
    json_object_object_add(options, "preconditions", only);
    return options;
}
