/* json_parse_text() and dotted paths on any bytes. */
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tp_error err;
    struct json_object *obj = json_parse_text((const char *)data, size, &err);

    if (obj) {
        json_get_str(obj, "a.b.c", "");
        json_get_int(obj, "a", 0);
        json_array_len(json_get_array(obj, "l"));
        json_object_put(obj);
    }
    return 0;
}
