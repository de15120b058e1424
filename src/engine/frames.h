/*
 * frames.h - the framing of attached streams without a terminal
 *
 * Engine API, "Attach to a container", stream format: a header of 8 bytes
 * (stream 0 stdin, 1 stdout, 2 stderr; three zeros; length, big-endian) before
 * each piece. Pieces are handed over as they come, never collected.
 */
#ifndef TP_ENGINE_FRAMES_H
#define TP_ENGINE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

struct engine_frames {
    uint8_t header[8];
    unsigned have; /* bytes of the header */
    uint32_t left; /* of the piece */
};

/* Returns 0, or a negative errno that ends the parsing. */
typedef int engine_frame_cb(void *arg, unsigned stream, const uint8_t *data,
                            size_t len);

/* 0, -EBADMSG, or what cb returned. A zeroed struct is the beginning. */
int engine_frames_feed(struct engine_frames *f, const uint8_t *data, size_t len,
                       engine_frame_cb *cb, void *arg);

#endif
