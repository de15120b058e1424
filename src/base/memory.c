#include "base/memory.h"

#include <malloc.h>

#define MAPPED_FROM (4 * 1024 * 1024)

void memory_tune(int arenas, size_t keep)
{
    mallopt(M_ARENA_MAX, arenas);
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
    mallopt(M_TRIM_THRESHOLD, (int)keep);
}
