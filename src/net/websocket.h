/*
 * websocket.h - a byte stream in WebSocket binary frames (RFC 6455)
 *
 * For links through proxies that speak HTTP only: the stream's bytes travel in
 * binary frames, whose borders mean nothing. The client masks. Pings are
 * answered, a close frame is the end of the stream, a text frame or an unmasked
 * frame of a client is -EBADMSG. The end of the stream below without a close
 * frame is -ECONNRESET. Pings are seen, and answered, by stream_read() only.
 * stream_shutdown() sends the close frame and ends nothing below.
 */
#ifndef TP_NET_WEBSOCKET_H
#define TP_NET_WEBSOCKET_H

#include <stdbool.h>

#include "net/stream.h"

/* Puts frames on `below`, which it owns from here on (also on failure). */
struct stream *websocket_create(struct stream *below, bool is_client);

/* Writes the 24 characters of a fresh Sec-WebSocket-Key and the NUL. */
void websocket_make_key(char key[25]);
/* Writes the Sec-WebSocket-Accept that answers key: 28 characters and NUL. */
void websocket_make_accept(const char *key, char accept[29]);

#endif
