#include "fuse/listing.h"

#include <errno.h>
#include <string.h>

#include "fuse/memory.h"

#define FIRST_BYTES 1024 /* a short directory has a short chunk */
#define CHUNK_BYTES (32 * 1024)
#define LISTING_BYTES                                                          \
    (16u << 20) /* of one directory: a quarter million names */

struct listing_chunk {
    struct listing_chunk *next;
    size_t used, size;
    uint64_t data[];
};

struct listing *listing_create(uint64_t now)
{
    struct listing *l = mem_alloc(sizeof(*l));

    l->refs = 1;
    l->began = l->at = now;
    return l;
}

void listing_ref(struct listing *l)
{
    l->refs++;
}

void listing_unref(struct listing *l)
{
    if (!l || --l->refs > 0)
        return;
    while (l->chunks) {
        struct listing_chunk *next = l->chunks->next;

        free(l->chunks);
        l->chunks = next;
    }
    free(l->entries);
    free(l->sorted);
    free(l);
}

static struct listing_entry *reserve(struct listing *l, size_t name_len)
{
    size_t need = (sizeof(struct listing_entry) + name_len + 7) & ~(size_t)7;
    struct listing_chunk *chunk = l->chunks;
    struct listing_entry *entry;

    if (!chunk || chunk->used + need > chunk->size) {
        size_t size = chunk ? CHUNK_BYTES : FIRST_BYTES;

        chunk = mem_alloc(sizeof(*chunk) + size);
        chunk->size = size;
        chunk->next = l->chunks;
        l->chunks = chunk;
    }
    entry = (void *)((uint8_t *)chunk->data + chunk->used);
    chunk->used += need;
    l->bytes += need;
    return entry;
}

/* Doubles at each power of two. */
static void *grown(void *array, uint32_t count, size_t size)
{
    if (count & (count - 1))
        return array;
    return mem_check(realloc(array, (count ? count * 2 : 1) * size));
}

bool listing_add(struct listing *l, const char *name, size_t len,
                 const struct attr *attr)
{
    struct listing_entry *entry;

    if (l->bytes + len > LISTING_BYTES)
        return false;
    entry = reserve(l, len);
    entry->attr = *attr;
    entry->name_len = (uint8_t)len;
    memcpy(entry->name, name, len);
    l->entries = grown(l->entries, l->count, sizeof(*l->entries));
    l->entries[l->count++] = entry;
    return true;
}

static int compare(const struct listing_entry *e, const char *name, size_t len)
{
    size_t shorter = e->name_len < len ? e->name_len : len;
    int rc = memcmp(e->name, name, shorter);

    if (rc)
        return rc;
    return e->name_len < len ? -1 : e->name_len > len;
}

static int compare_cb(const void *a, const void *b, void *arg)
{
    struct listing_entry *const *entries = arg;
    const struct listing_entry *second = entries[*(const uint32_t *)b];

    return compare(entries[*(const uint32_t *)a], second->name,
                   second->name_len);
}

void listing_finish(struct listing *l, int err)
{
    l->complete = true;
    l->err = err;
    if (err)
        return;
    for (uint32_t i = 0; i < l->count; i++) {
        l->sorted = grown(l->sorted, i, sizeof(*l->sorted));
        l->sorted[i] = i;
    }
    l->n_sorted = l->count;
    if (l->count > 1)
        qsort_r(l->sorted, l->count, sizeof(*l->sorted), compare_cb,
                l->entries);
}

/* The first place whose name is not smaller. */
static uint32_t lower_bound(const struct listing *l, const char *name,
                            size_t len)
{
    uint32_t low = 0, high = l->n_sorted;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (compare(l->entries[l->sorted[mid]], name, len) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool listing_place(struct listing *l, const char *name, size_t len,
                   uint32_t *rank, uint32_t *index)
{
    if (!listing_is_whole(l))
        return false;
    *rank = lower_bound(l, name, len);
    if (*rank == l->n_sorted ||
        compare(l->entries[l->sorted[*rank]], name, len) != 0)
        return false;
    *index = l->sorted[*rank];
    return true;
}

struct listing_entry *listing_find(const struct listing *l, const char *name,
                                   size_t len)
{
    uint32_t rank, index;

    if (!listing_place((struct listing *)(uintptr_t)l, name, len, &rank,
                       &index))
        return NULL;
    return l->entries[index];
}

void listing_note_changed(struct listing *l, const char *name, size_t len)
{
    struct listing_entry *entry = listing_find(l, name, len);

    if (entry)
        entry->stale = true;
}

void listing_note_removed(struct listing *l, const char *name, size_t len)
{
    uint32_t rank, index;

    if (!listing_place(l, name, len, &rank, &index))
        return;
    l->entries[index]->removed = true;
    memmove(l->sorted + rank, l->sorted + rank + 1,
            (l->n_sorted - rank - 1) * sizeof(*l->sorted));
    l->n_sorted--;
}

void listing_note_created(struct listing *l, const char *name, size_t len,
                          const struct attr *attr)
{
    uint32_t rank;

    if (!listing_is_whole(l))
        return;
    listing_note_removed(l, name, len);
    rank = lower_bound(l, name, len);
    if (!listing_add(l, name, len, attr)) {
        l->err = -EOVERFLOW;
        return;
    }
    /* Room for one more: `sorted` grows with the entries. */
    l->sorted = mem_check(
        realloc(l->sorted, ((size_t)1 << (32 - __builtin_clz(l->count))) *
                               sizeof(*l->sorted)));
    memmove(l->sorted + rank + 1, l->sorted + rank,
            (l->n_sorted - rank) * sizeof(*l->sorted));
    l->sorted[rank] = l->count - 1;
    l->n_sorted++;
}
