/* SHA-256 (FIPS 180-4), in small rather than fast. */
#ifndef SHA256_H
#define SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
};

#define SHA256_TEXT 65

void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t size);

/* Writes 64 hexadecimal digits and a NUL. */
void sha256_finish(struct sha256 *hash, char text[SHA256_TEXT]);

#endif
