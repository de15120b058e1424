/*
 * events.h - GET /tp/v1/events: long answers of JSON lines, and who listens
 */
#ifndef TP_MANAGER_EVENTS_H
#define TP_MANAGER_EVENTS_H

#include <sys/queue.h>

#include "tunnel/tunnel.h"

struct event_stream;

/* The listeners of one tunnel. They leave it when their streams end, so the
 * tunnel must be destroyed before this goes. */
struct events {
    LIST_HEAD(, event_stream) streams;
};

void events_init(struct events *events);

/* Answers s with the long list of events. 0 or a negative errno. */
int events_open(struct events *events, struct tunnel_stream *s);
/* How many streams are listeners. */
unsigned events_count(const struct events *events);
/* One JSON line to all who listen. Who does not read is reset. */
void events_send(struct events *events, const char *line);

#endif
