#include "manager/audit.h"

#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"

static void put_time(struct json_object *line)
{
    struct timespec now;
    struct tm tm;
    char text[32], full[48];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(full, sizeof(full), "%s.%03ldZ", text, now.tv_nsec / 1000000);
    json_put_str(line, "time", full);
}

void audit_write(const struct audit_event *event)
{
    cleanup_json struct json_object *line = json_object_new_object();

    if (!line)
        return;
    put_time(line);
    json_put_str(line, "audit", event->event);
    json_put_str(line, "decision", event->allowed ? "allow" : "deny");
    if (event->who) {
        json_put_str(line, "user", event->who->user);
        json_put_str(line, "uid", event->who->uid);
    }
    json_put_str(line, "verb", event->verb);
    json_put_str(line, "namespace", event->ns);
    json_put_str(line, "name", event->name);
    json_put_str(line, "destination", event->destination);
    json_put_str(line, "reason", event->reason);
    if (event->suppressed)
        json_object_object_add(line, "suppressed",
                               json_object_new_uint64(event->suppressed));
    log_json(line);
}
