#include "daemon/link_failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "net/dial.h"

/* The message of a Kubernetes Status object, of {"error": ...}, or what text
 * there is; in one line. */
static void read_message(char *out, size_t size, const char *body)
{
    cleanup_json struct json_object *obj =
        body ? json_parse_text(body, strlen(body), NULL) : NULL;
    const char *text = json_get_str(obj, "message", NULL);

    if (!text)
        text = json_get_str(obj, "error", obj || !body ? "" : body);
    snprintf(out, size, "%s", text);
    for (char *p = out; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    }
    for (size_t n = strlen(out); n > 0 && out[n - 1] == ' '; n--)
        out[n - 1] = '\0';
}

static bool group_is_missing(const char *message)
{
    return !*message ||
           strstr(message, "could not find the requested resource") ||
           strstr(message, "404 page not found");
}

static void judge_status(struct link_failure *f, int status,
                         const char *message)
{
    const char *sep = *message ? ": " : "";

    f->from_server = true;
    switch (status) {
    case 401:
        f->code = "unauthorized";
        f->unauthorized = true;
        snprintf(f->text, sizeof(f->text),
                 "the API server refused the credentials (an expired "
                 "token?)%s%s",
                 sep, message);
        break;
    case 403:
        f->code = "refused";
        f->permanent = true;
        snprintf(f->text, sizeof(f->text), "%s",
                 *message ? message : "no right to connect (403)");
        break;
    case 404:
        f->permanent = true;
        f->code = group_is_missing(message) ? "not-installed" : "refused";
        snprintf(f->text, sizeof(f->text), "%s",
                 group_is_missing(message)
                     ? "tp-manager is not installed in this cluster (no "
                       "connect.tp.internal API): run `tp helm install` or "
                       "ask your admin"
                     : message);
        break;
    case 409:
        f->code = "incompatible";
        f->permanent = true;
        snprintf(f->text, sizeof(f->text), "%s",
                 *message ? message : "the manager speaks no common protocol");
        break;
    case 503:
        f->code = "unreachable";
        snprintf(f->text, sizeof(f->text),
                 "the manager does not answer yet%s%s", sep, message);
        break;
    default:
        f->code = "unreachable";
        f->try_websocket = status != 429;
        snprintf(f->text, sizeof(f->text),
                 "the upgrade was answered by HTTP status %d%s%s", status, sep,
                 message);
    }
}

/* dial.h has one field for both; its text names a proxy that answered. */
static bool from_proxy(const struct dial_result *result)
{
    return result->text && !strncmp(result->text, "proxy ", 6);
}

void link_failure_from_dial(struct link_failure *f,
                            const struct dial_result *result)
{
    char message[400];

    memset(f, 0, sizeof(*f));
    read_message(message, sizeof(message), result->body);
    if (result->http_status && !from_proxy(result)) {
        judge_status(f, result->http_status, message);
        return;
    }
    f->code = "unreachable";
    f->permanent =
        result->status == -EKEYREJECTED || result->status == -EKEYEXPIRED;
    f->try_websocket = !from_proxy(result) && (result->status == -EPROTO ||
                                               result->status == -EBADMSG);
    snprintf(f->text, sizeof(f->text), "%s",
             result->text ? result->text : strerror(-result->status));
}

void link_failure_from_hello(struct link_failure *f, int status,
                             const char *body)
{
    char message[400];

    memset(f, 0, sizeof(*f));
    read_message(message, sizeof(message), body);
    if (status < 0) {
        f->code = "unreachable";
        snprintf(f->text, sizeof(f->text), "the manager did not say hello: %s",
                 strerror(-status));
    } else if (status == 404) {
        f->code = "incompatible";
        f->permanent = true;
        snprintf(f->text, sizeof(f->text), "the manager knows no hello");
    } else {
        judge_status(f, status, message);
        f->try_websocket = false;
    }
}
