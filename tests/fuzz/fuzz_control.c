/* SESSION, credentials and engagements, as they come by the control socket, and
 * where a manager says that it is reached directly. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "net/direct_endpoint.h"
#include "daemon/engagement_internal.h"
#include "daemon/session_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each line must end in CRLF and hold no other control character. */
static void check_headers(const char *text)
{
    for (; *text; text++) {
        if (text[0] == '\r' && text[1] == '\n')
            text++;
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            abort();
    }
}

/* What is accepted asks the manager for the same thing when it is read again.
 */
static void check_engagement(struct json_object *obj)
{
    struct json_object *engage;
    struct eng_spec spec, again;

    if (engagement_spec_parse(&spec, obj, "default", NULL) < 0)
        return;
    engage = engagement_spec_to_json(&spec, "abcdefghijklmnopqrstuvwxyz");
    if (engagement_spec_parse(&again, engage, "", NULL) < 0 ||
        strcmp(spec.workload, again.workload) != 0 ||
        spec.port_count != again.port_count)
        abort();
    json_object_put(engage);
}

static void check_endpoint(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    struct direct_endpoint e;

    if (direct_endpoint_parse(&e, text, NULL) == 0 &&
        (!*e.host || e.port == 0 || strpbrk(e.host, "\r\n /[]")))
        abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object *obj = json_parse_text((const char *)data, size, NULL);
    struct session_config config;

    if (obj && session_config_parse(&config, obj, NULL) == 0) {
        char *headers;

        session_config_set_credentials(&config, obj, NULL);
        headers = session_config_headers(&config, NULL);
        if (headers)
            check_headers(headers);
        free(headers);
        session_config_release(&config);
    }
    check_endpoint(data, size);
    if (obj)
        check_engagement(obj);
    json_object_put(obj);
    return 0;
}
