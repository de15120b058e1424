/* memory.h - what malloc keeps of what was freed */
#ifndef TP_BASE_MEMORY_H
#define TP_BASE_MEMORY_H

#include <stddef.h>

/*
 * For main(), before anything is allocated: at most `keep` bytes at the top of
 * the heap are kept when they become free, and nothing below 4 MiB is mapped by
 * itself; `arenas` bounds the heaps of threads.
 *
 * The buffers of links (TLS reads of 131 KiB, what waits in a stream) come and
 * go with each event. By glibc's defaults, and by any threshold near their
 * size, each costs mmap(), munmap() and its page faults: half of the CPU time
 * of a bulk transfer, and 300 us of a request, where page faults are dear
 * (virtual machines).
 */
void memory_tune(int arenas, size_t keep);

#endif
