/* Fuzz target: the stream of a watch; in one piece and in two it says the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "kube/watch_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int line_cb(void *arg, enum watch_line type, struct json_object *obj)
{
    unsigned *sum = arg;

    if (!json_object_is_type(obj, json_type_object))
        abort();
    *sum = *sum * 31 + (unsigned)type + 1;
    json_object_put(obj);
    return 0;
}

static int feed(const uint8_t *data, size_t size, size_t at, unsigned *sum)
{
    struct watch_lines w;
    int rc;

    watch_lines_init(&w, line_cb, sum);
    rc = watch_lines_feed(&w, data, at);
    if (rc == 0)
        rc = watch_lines_feed(&w, data + at, size - at);
    watch_lines_release(&w);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned one = 0, two = 0;

    if (size > 65536)
        return 0;
    if (feed(data, size, size, &one) != feed(data, size, size / 2, &two) ||
        one != two)
        abort();
    return 0;
}
