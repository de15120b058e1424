/* Quantities of Kubernetes: what is accepted is not negative. */
#include <stdlib.h>
#include <string.h>

#include "cli/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[128];
    int64_t value;

    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (limits_parse_quantity(text, 1, &value) == 0 && value < 0)
        abort();
    if (limits_parse_quantity(text, 1000, &value) == 0 && value < 0)
        abort();
    return 0;
}
