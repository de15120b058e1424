/*
 * Pseudo-random bytes by offset, without computing any while they are sent:
 * a table that repeats. Its length is a prime number, so that whatever is
 * lost or repeated in the size of somebody's buffer shows.
 */
#include "app.h"

#include <string.h>

#define PERIOD 1048573u

/* The table's begin follows its end: from any place in it, a full bulk's
 * worth of bytes is in one piece. */
static unsigned char table[PERIOD + BULK_SIZE];

void pattern_init(void)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < PERIOD; i++) {
        /* Marsaglia's xorshift64 */
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        table[i] = (unsigned char)(x >> 56);
    }
    memcpy(table + PERIOD, table, BULK_SIZE);
}

const void *pattern_at(uint64_t offset, size_t *size)
{
    if (*size > BULK_SIZE)
        *size = BULK_SIZE;
    return table + offset % PERIOD;
}
